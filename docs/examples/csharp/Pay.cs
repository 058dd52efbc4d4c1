// Takes a payment: dotnet run CENTS REFERENCE
//
// NOT RUN by our tests, and not compiled by them: its library, MQTTnet 5 (.NET 8 or later), is in no
// registry that they can reach. It is written after MQTTnet's own documentation.
//
// Run it again with the same words after whatever happened: the customer pays once.

using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using MQTTnet;
using MQTTnet.Exceptions;
using MQTTnet.Protocol;

var (cents, reference) = (long.Parse(args[0]), args[1]);
// Whole cents: with 37.80 as a floating-point number sums do not come out.
var parameters = new JsonObject
{
    ["amount"] = new JsonObject { ["cents"] = cents, ["currency"] = "EUR" },
    ["reference"] = reference,
};
var path = $"payment-{reference}.json"; // your application has a database for this

JsonObject payment;
if (File.Exists(path))
{
    payment = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
    if (!JsonNode.DeepEquals(payment["params"], parameters))
    {
        Console.Error.WriteLine($"{path} is about another amount: take another reference");
        return 2;
    }
}
else
{
    // The call id is kept before anything is sent. It is what the gateway knows the payment by: who
    // has lost it cannot ask what became of the money.
    payment = new JsonObject
    {
        ["call"] = Guid.NewGuid().ToString(),
        ["params"] = parameters.DeepClone(),
    };
    Keep();
}

while (payment["completion"] is null)
{
    try
    {
        var id = payment["call"]!.GetValue<string>();
        payment["completion"] = await Koffer.Call("ec-terminal", "pay", parameters, id);
    }
    catch (NoAnswer why)
    {
        // It may have been booked. Under the same call id it is not booked again: the call joins the
        // one that runs, or gets the answer that is already there.
        Console.WriteLine($"{why.Message}; asking again");
        await Task.Delay(2000);
    }
    catch (Refused why)
    {
        // An attempt before this one may have been booked, so the call id stays in the file.
        Console.Error.WriteLine(
            $"NOT KNOWN: {why.Message}; check user and password, then ask again");
        return 2;
    }
}

// `effect` tells what became of the money, whatever the status is; of `ok` it is "done".
var completion = payment["completion"]!;
var ok = completion["status"]!.GetValue<string>() == "ok";
switch (ok ? "done" : completion["effect"]!.GetValue<string>())
{
    case "done":
        Keep();
        Console.WriteLine($"PAID, receipt {completion["result"]?["receipt"]}");
        return 0;
    case "none":
        // Nothing was booked. Trying again is a new payment with a new call id.
        File.Delete(path);
        Console.Error.WriteLine($"NOT PAID: {completion["message"]}");
        return 1;
    default:
        // The call id stays in the file: ask again later, and never under a new one. Meanwhile a
        // person looks at the terminal and tells the gateway (gateway/resolve).
        Console.Error.WriteLine($"NOT KNOWN: {completion["message"]}");
        return 3;
}

// Keeps what is known of the payment, so that it is there after a power cut too.
void Keep()
{
    using (var file = new FileStream($"{path}.new", FileMode.Create))
    {
        file.Write(Encoding.UTF8.GetBytes(payment.ToJsonString()));
        file.Flush(flushToDisk: true);
    }
    File.Move($"{path}.new", path, overwrite: true);
}

/// <summary>Nobody knows yet whether the call happened: ask again under the same call id.</summary>
class NoAnswer(string why) : Exception(why);

/// <summary>The broker let us not in, or not call: this attempt has not reached the gateway.</summary>
class Refused(string why) : Exception(why);

static class Koffer
{
    static string Setting(string name, string otherwise) =>
        Environment.GetEnvironmentVariable(name) ?? otherwise;

    /// <summary>Makes one call and returns its completion. The call id has 1 to 64 characters, is new
    /// for each payment, and the same again whenever this payment is asked for again.</summary>
    public static async Task<JsonNode> Call(
        string device, string operation, JsonNode parameters, string callId, uint expiry = 180)
    {
        var broker = Setting("KOFFER_BROKER", "127.0.0.1:1883").Split(':');
        var user = Setting("KOFFER_USER", "ws-1");
        var password = File.ReadAllText(Setting("KOFFER_PASSWORD_FILE", "")).Trim();
        var root = $"koffer/1/{Setting("KOFFER_GATEWAY", "case-7")}";
        var reply = $"{root}/reply/{user}/koffer-cs";
        // A call lasts as long as the customer takes, and the gateway may take another minute to find
        // out what became of it.
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(expiry + 60));
        var messages = Channel.CreateUnbounded<MqttApplicationMessage>();

        using var client = new MqttClientFactory().CreateMqttClient();
        client.ApplicationMessageReceivedAsync += received =>
        {
            messages.Writer.TryWrite(received.ApplicationMessage);
            return Task.CompletedTask;
        };
        client.DisconnectedAsync += _ =>
        {
            messages.Writer.TryComplete(new NoAnswer("the connection is gone"));
            return Task.CompletedTask;
        };
        // No client id of our own: a second program with the same one would throw us out.
        var options = new MqttClientOptionsBuilder()
            .WithTcpServer(broker[0], int.Parse(broker[1]))
            .WithProtocolVersion(MQTTnet.Formatter.MqttProtocolVersion.V500)
            .WithCredentials(user, password)
            // The broker is asked every 15 s whether it is still there; a dead line shows by that.
            .WithKeepAlivePeriod(TimeSpan.FromSeconds(15))
            .Build();
        var message = new MqttApplicationMessageBuilder()
            .WithTopic($"{root}/call/{user}/{device}/{operation}")
            .WithPayload(parameters.ToJsonString())
            .WithQualityOfServiceLevel(MqttQualityOfServiceLevel.AtLeastOnce)
            .WithResponseTopic(reply)
            .WithCorrelationData(Encoding.UTF8.GetBytes(callId))
            .WithMessageExpiryInterval(expiry)
            .WithContentType("application/json")
            .Build();
        try
        {
            var connected = await client.ConnectAsync(options, late.Token);
            if (connected.ResultCode != MqttClientConnectResultCode.Success)
                throw new Refused($"not connected: {connected.ResultCode}");
            // Before the call: nobody keeps an answer for who listens later.
            var subscribed = await client.SubscribeAsync(
                $"{reply}/#", MqttQualityOfServiceLevel.AtLeastOnce, late.Token);
            if ((int)subscribed.Items.First().ResultCode >= 128)
                throw new Refused($"not subscribed: {subscribed.Items.First().ResultCode}");
            var published = await client.PublishAsync(message, late.Token);
            if (!published.IsSuccess)
                throw new Refused($"not published: {published.ReasonCode}");
            await foreach (var answer in messages.Reader.ReadAllAsync(late.Token))
            {
                // Other calls of this workstation may have their answers here too.
                var id = answer.CorrelationData ?? [];
                if (Encoding.UTF8.GetString(id) != callId) continue;
                var body = JsonNode.Parse(answer.ConvertPayloadToString())!;
                if (answer.Topic == reply) return body;
                Console.WriteLine(body["text"] ?? body["event"]);
            }
            throw new NoAnswer("the connection is gone");
        }
        catch (Exception why) when (why is MqttCommunicationException or OperationCanceledException)
        {
            throw new NoAnswer(why.Message);
        }
    }
}
