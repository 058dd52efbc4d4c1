// Takes a payment: java Pay CENTS REFERENCE
//
// NOT RUN by our tests: its libraries, Eclipse Paho Java for MQTT 5
// (org.eclipse.paho:org.eclipse.paho.mqttv5.client, 1.2.5 or later) and Gson
// (com.google.code.gson:gson), are in no registry that they can reach. It was run by hand.
//
// Run it again with the same words after whatever happened: the customer pays once.

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttCallback;
import org.eclipse.paho.mqttv5.client.MqttClient;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.client.MqttDisconnectResponse;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;

public class Pay {
    static final String BROKER = setting("KOFFER_BROKER", "127.0.0.1:1883");
    static final String GATEWAY = setting("KOFFER_GATEWAY", "case-7");
    static final String USER = setting("KOFFER_USER", "ws-1");

    static String setting(String name, String otherwise) {
        return Optional.ofNullable(System.getenv(name)).orElse(otherwise);
    }

    /** Nobody knows yet whether the call happened: ask again under the same call id. */
    static class NoAnswer extends Exception {
        NoAnswer(String why) {
            super(why);
        }
    }

    /** The broker let us not in, or not call: this attempt has not reached the gateway. */
    static class Refused extends Exception {
        Refused(String why) {
            super(why);
        }
    }

    /** What comes of a call: a message, or why there will be none. */
    record Event(String topic, MqttMessage message, Exception end) {}

    static Exception refusal(IMqttToken token) {
        var codes = token.getReasonCodes();
        var refused = codes != null && codes.length > 0 && codes[0] >= 128;
        return refused ? new Refused("the broker refused it: " + codes[0]) : null;
    }

    /**
     * Makes one call and returns its completion. {@code callId}: 1 to 64 characters, new for each
     * payment, and the same again whenever this payment is asked for again.
     */
    static JsonObject call(String device, String operation, JsonObject params, String callId)
            throws Exception {
        long expiry = 180;
        // A call lasts as long as the customer takes, and the gateway may take another minute to
        // find out what became of it.
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(expiry + 60);
        String reply = "koffer/1/" + GATEWAY + "/reply/" + USER + "/koffer-java";
        var events = new LinkedBlockingQueue<Event>();

        var options = new MqttConnectionOptions();
        options.setUserName(USER);
        options.setPassword(Files.readAllBytes(Path.of(System.getenv("KOFFER_PASSWORD_FILE"))));
        options.setPassword(new String(options.getPassword(), UTF_8).strip().getBytes(UTF_8));
        // The broker is asked every 15 s whether it is still there; a dead line shows by that.
        options.setKeepAliveInterval(15);
        var properties = new MqttProperties();
        properties.setResponseTopic(reply);
        properties.setCorrelationData(callId.getBytes(UTF_8));
        properties.setMessageExpiryInterval(expiry);
        properties.setContentType("application/json");
        var message = new MqttMessage(params.toString().getBytes(UTF_8), 1, false, properties);

        // No client id of our own: a second program with the same one would throw us out.
        var client = new MqttClient("tcp://" + BROKER, "", new MemoryPersistence());
        try {
            client.setCallback(new Listener(events));
            client.setTimeToWait(30_000);
            client.connect(options);
            // Before the call: nobody keeps an answer for who listens later.
            var refusal = refusal(client.subscribe(reply + "/#", 1));
            if (refusal != null) throw refusal;
            client.publish("koffer/1/" + GATEWAY + "/call/" + USER + "/" + device + "/" + operation,
                    message);
            while (true) {
                var left = deadline - System.nanoTime();
                var event = events.poll(left, TimeUnit.NANOSECONDS);
                if (event == null) throw new NoAnswer("no answer in time");
                if (event.end() != null) throw event.end();
                // Other calls of this workstation may have their answers here too.
                var id = event.message().getProperties().getCorrelationData();
                if (!Arrays.equals(id, callId.getBytes(UTF_8))) continue;
                var text = new String(event.message().getPayload(), UTF_8);
                var body = JsonParser.parseString(text).getAsJsonObject();
                if (event.topic().equals(reply)) return body;
                System.out.println(body.get(body.has("text") ? "text" : "event").getAsString());
            }
        } catch (MqttException why) {
            // From 128 on it is what the broker answered; Paho's own numbers from 32000 on are not.
            int code = why.getReasonCode();
            if (code >= 128 && code < 256) throw new Refused(why.toString());
            throw new NoAnswer(why.toString());
        } finally {
            try {
                client.disconnectForcibly(0, 1000);
            } catch (MqttException alreadyGone) {
                // Then there is nothing to end.
            }
            client.close(true);
        }
    }

    record Listener(LinkedBlockingQueue<Event> events) implements MqttCallback {
        public void messageArrived(String topic, MqttMessage message) {
            events.add(new Event(topic, message, null));
        }

        public void disconnected(MqttDisconnectResponse response) {
            events.add(new Event(null, null, new NoAnswer("the connection is gone")));
        }

        public void mqttErrorOccurred(MqttException exception) {}

        public void deliveryComplete(IMqttToken token) {
            // The only place where Paho tells that a broker refused a message.
            var refusal = refusal(token);
            if (refusal != null) events.add(new Event(null, null, refusal));
        }

        public void connectComplete(boolean reconnect, String serverURI) {}

        public void authPacketArrived(int reasonCode, MqttProperties properties) {}
    }

    /** Keeps what is known of the payment, so that it is there after a power cut too. */
    static void keep(Path path, JsonObject payment) throws Exception {
        var fresh = Path.of(path + ".new");
        Files.writeString(fresh, payment.toString());
        try (var file = FileChannel.open(fresh, StandardOpenOption.WRITE)) {
            file.force(true);
        }
        Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE);
    }

    public static void main(String[] arguments) throws Exception {
        var reference = arguments[1];
        var amount = new JsonObject();
        // Whole cents: with 37.80 as a floating-point number sums do not come out.
        amount.addProperty("cents", Long.parseLong(arguments[0]));
        amount.addProperty("currency", "EUR");
        var params = new JsonObject();
        params.add("amount", amount);
        params.addProperty("reference", reference);
        // Your application has a database for this.
        var path = Path.of("payment-" + reference + ".json");

        JsonObject payment;
        if (Files.exists(path)) {
            payment = JsonParser.parseString(Files.readString(path)).getAsJsonObject();
            if (!payment.get("params").equals(params)) {
                System.err.println(path + " is about another amount: take another reference");
                System.exit(2);
            }
        } else {
            // The call id is kept before anything is sent. It is what the gateway knows the payment
            // by: who has lost it cannot ask what became of the money.
            payment = new JsonObject();
            payment.addProperty("call", UUID.randomUUID().toString());
            payment.add("params", params);
            keep(path, payment);
        }

        while (!payment.has("completion")) {
            try {
                var id = payment.get("call").getAsString();
                payment.add("completion", call("ec-terminal", "pay", params, id));
            } catch (NoAnswer why) {
                // It may have been booked. Under the same call id it is not booked again: the call
                // joins the one that runs, or gets the answer that is already there.
                System.out.println(why.getMessage() + "; asking again");
                Thread.sleep(2000);
            } catch (Refused why) {
                // An attempt before this one may have been booked, so the call id stays in the file.
                System.err.println("NOT KNOWN: " + why.getMessage()
                        + "; check user and password, then ask again");
                System.exit(2);
            }
        }

        // `effect` tells what became of the money, whatever the status is; of `ok` it is "done".
        var completion = payment.getAsJsonObject("completion");
        var ok = completion.get("status").getAsString().equals("ok");
        var effect = ok ? "done" : completion.get("effect").getAsString();
        if (effect.equals("done")) {
            keep(path, payment);
            var result = completion.getAsJsonObject("result");
            System.out.println("PAID, receipt " + (result == null ? null : result.get("receipt")));
            System.exit(0);
        }
        var message = completion.get("message").getAsString();
        if (effect.equals("none")) {
            // Nothing was booked. Trying again is a new payment with a new call id.
            Files.delete(path);
            System.err.println("NOT PAID: " + message);
            System.exit(1);
        }
        // The call id stays in the file: ask again later, and never under a new one. Meanwhile a
        // person looks at the terminal and tells the gateway (gateway/resolve).
        System.err.println("NOT KNOWN: " + message);
        System.exit(3);
    }
}
