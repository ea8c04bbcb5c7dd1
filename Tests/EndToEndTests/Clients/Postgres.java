import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.Security;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;

/** Uses a database as Java applications do: Postgres.java PORT TRUST CHAIN KEY.PK8. */
public class Postgres {
    static final int PIECE = 1 << 16;
    static final int PIECES = 400;
    static String[] arguments;

    static Connection connect() throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", "postgres");
        properties.setProperty("ssl", "true");
        properties.setProperty("sslmode", "verify-full");
        properties.setProperty("sslrootcert", arguments[1]);
        properties.setProperty("sslcert", arguments[2]);
        properties.setProperty("sslkey", arguments[3]);
        return DriverManager.getConnection("jdbc:postgresql://localhost:" + arguments[0] + "/postgres", properties);
    }

    static byte[] line(int number) {
        byte[] line = new byte[PIECE];
        Arrays.fill(line, (byte) ('a' + number % 26));
        line[PIECE - 1] = '\n';
        return line;
    }

    static void copiesBothWays() throws Exception {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            statement.execute("create temporary table copied (number serial, word text)");
            CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
            MessageDigest sent = MessageDigest.getInstance("SHA-256");
            InputStream source = new InputStream() {
                int number = 0;
                int place = PIECE;
                byte[] line;

                @Override public int read() {
                    byte[] one = new byte[1];
                    return read(one, 0, 1) < 0 ? -1 : one[0];
                }

                @Override public int read(byte[] target, int offset, int length) {
                    if (place == PIECE) {
                        if (number == PIECES) return -1;
                        line = line(number++);
                        sent.update(line);
                        place = 0;
                    }
                    int count = Math.min(length, PIECE - place);
                    System.arraycopy(line, place, target, offset, count);
                    place += count;
                    return count;
                }
            };
            check(manager.copyIn("copy copied (word) from stdin", source) == PIECES, "rows are missing");
            ByteArrayOutputStream came = new ByteArrayOutputStream();
            manager.copyOut("copy (select word from copied order by number) to stdout", came);
            check(Arrays.equals(MessageDigest.getInstance("SHA-256").digest(came.toByteArray()), sent.digest()),
                "what came out is not what went in");
        }
    }

    static void isCancelled() throws Exception {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            try {
                statement.execute("select pg_sleep(60)");
                check(false, "it slept to its end");
            } catch (SQLException error) {
                check("57014".equals(error.getSQLState()), error.toString());
            }
            statement.setQueryTimeout(0);
            statement.execute("select 1");
        }
    }

    static void listens() throws Exception {
        try (Connection ear = connect(); Connection mouth = connect()) {
            ear.createStatement().execute("listen news");
            mouth.createStatement().execute("select pg_notify('news', 'said')");
            PGNotification[] news = ear.unwrap(PGConnection.class).getNotifications(30_000);
            check(news.length == 1 && news[0].getParameter().equals("said"), "no news");
        }
    }

    static void batches() throws Exception {
        try (Connection connection = connect()) {
            connection.setAutoCommit(false);
            connection.createStatement().execute("create temporary table batched (number int)");
            try (PreparedStatement insert = connection.prepareStatement("insert into batched values (?)")) {
                for (int number = 0; number < 10_000; number++) {
                    insert.setInt(1, number);
                    insert.addBatch();
                }
                insert.executeBatch();
            }
            connection.commit();
            ResultSet sum = connection.createStatement().executeQuery("select sum(number) from batched");
            sum.next();
            check(sum.getLong(1) == 49_995_000L, "rows are missing");
        }
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) throw new AssertionError(otherwise);
    }

    public static void main(String[] given) throws Exception {
        arguments = given;
        // JSSE replaces its keys after so many bytes (JDK Security Properties, jdk.tls.keyLimits); by itself after 2^37.
        Security.setProperty("jdk.tls.keyLimits", "AES/GCM/NoPadding KeyUpdate 2^23");
        copiesBothWays();
        System.out.println("COPY both ways");
        isCancelled();
        System.out.println("cancel");
        listens();
        System.out.println("LISTEN");
        batches();
        System.out.println("batches");
        System.out.println("all");
    }
}
