// Calls a device of a koffer gateway, with Eclipse Paho C++ (Debian's libpaho-mqttpp-dev). The rules
// are in docs/contract.md.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <mqtt/async_client.h>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace koffer {

using json = nlohmann::json;

/// Nobody knows yet whether the call happened: ask again under the same call id.
struct NoAnswer : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The broker let us not in, or not call: this attempt has not reached the gateway.
struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline std::string setting(const char* name, const std::string& otherwise) {
    const char* value = std::getenv(name);
    return value ? value : otherwise;
}

inline void show(const json& event) {
    std::cout << event.value("text", event.value("event", "")) << std::endl;
}

/// Makes one call and returns its completion. `call_id`: 1 to 64 characters, new for each payment,
/// and the same again whenever this payment is asked for again.
inline json call(const std::string& device, const std::string& operation, const json& params,
                 const std::string& call_id,
                 const std::function<void(const json&)>& on_progress = show,
                 std::chrono::seconds expiry = std::chrono::seconds(180)) {
    const auto user = setting("KOFFER_USER", "ws-1");
    const auto root = "koffer/1/" + setting("KOFFER_GATEWAY", "case-7");
    const auto reply = root + "/reply/" + user + "/koffer-cpp";
    std::ifstream file(setting("KOFFER_PASSWORD_FILE", ""));
    std::string password;
    std::getline(file, password);

    // No client id of our own: a second program with the same one would throw us out.
    mqtt::async_client client("tcp://" + setting("KOFFER_BROKER", "127.0.0.1:1883"), "",
                              mqtt::create_options(MQTTVERSION_5));
    // A call lasts as long as the customer takes, and the gateway may take another minute to find
    // out what became of it.
    const auto deadline = std::chrono::steady_clock::now() + expiry + std::chrono::minutes(1);
    const auto done = [](const mqtt::token_ptr& step) {
        if (!step->wait_for(std::chrono::seconds(30))) throw NoAnswer("the broker does not answer");
    };
    try {
        client.start_consuming();
        done(client.connect(mqtt::connect_options_builder()
                                .mqtt_version(MQTTVERSION_5)
                                .clean_start(true)
                                .user_name(user)
                                .password(password)
                                // The broker is asked every 15 s whether it is still there; a dead
                                // line shows by that.
                                .keep_alive_interval(std::chrono::seconds(15))
                                .finalize()));
        // Before the call: nobody keeps an answer for who listens later.
        done(client.subscribe(reply + "/#", 1));
        const mqtt::properties properties{
            {mqtt::property::RESPONSE_TOPIC, reply},
            {mqtt::property::CORRELATION_DATA, call_id},
            {mqtt::property::MESSAGE_EXPIRY_INTERVAL, static_cast<int32_t>(expiry.count())},
            {mqtt::property::CONTENT_TYPE, "application/json"},
        };
        const auto topic = root + "/call/" + user + "/" + device + "/" + operation;
        done(client.publish(mqtt::message::create(topic, params.dump(), 1, false, properties)));
        for (mqtt::const_message_ptr message;;) {
            if (!client.try_consume_message_until(&message, deadline))
                throw NoAnswer("no answer in time");
            if (!message) throw NoAnswer("the connection is gone");
            // Other calls of this workstation may have their answers here too.
            const auto& told = message->get_properties();
            if (!told.contains(mqtt::property::CORRELATION_DATA) ||
                mqtt::get<std::string>(told, mqtt::property::CORRELATION_DATA) != call_id)
                continue;
            const auto body = json::parse(message->to_string());
            if (message->get_topic() == reply) {
                client.disconnect()->wait_for(std::chrono::seconds(5));
                return body;
            }
            on_progress(body);
        }
    } catch (const mqtt::exception& why) {
        // Only what a broker refused has a number of MQTT, in one place or the other.
        if (std::max(why.get_return_code(), why.get_reason_code()) >= 0x80)
            throw Refused(why.what());
        throw NoAnswer(why.what());
    }
}

}  // namespace koffer
