#pragma once
#include <libpq-fe.h>

// PG_DIAG_SQLSTATE is a character constant, which Swift imports as another type than PQresultErrorField takes.
static inline const char *CPostgres_state(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_SQLSTATE);
}
