// Takes a payment: ./pay CENTS REFERENCE
//
// Run it again with the same words after whatever happened: the customer pays once.

#include "koffer.hpp"

#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <thread>
#include <unistd.h>

using koffer::json;

/// Keeps what is known of the payment, so that it is there after a power cut too.
static void keep(const std::string& path, const json& payment) {
    const std::string text = payment.dump(), fresh = path + ".new";
    const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const bool kept = file >= 0 &&
                      write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                      fsync(file) == 0;
    if (file >= 0) close(file);
    if (!kept) throw std::runtime_error("cannot write " + fresh);
    std::filesystem::rename(fresh, path);
}

int main(int, char** arguments) {
    const std::string reference = arguments[2];
    // Whole cents: with 37.80 as a floating-point number sums do not come out.
    const json params = {{"amount", {{"cents", std::stol(arguments[1])}, {"currency", "EUR"}}},
                         {"reference", reference}};
    const std::string path = "payment-" + reference + ".json";  // your application has a database

    json payment;
    if (std::ifstream file(path); file) {
        payment = json::parse(file);
        if (payment["params"] != params) {
            std::cerr << path << " is about another amount: take another reference\n";
            return 2;
        }
    } else {
        // The call id is kept before anything is sent. It is what the gateway knows the payment by:
        // who has lost it cannot ask what became of the money.
        std::string id;
        std::getline(std::ifstream("/proc/sys/kernel/random/uuid"), id);
        payment = {{"call", id}, {"params", params}};
        keep(path, payment);
    }

    while (!payment.contains("completion")) {
        try {
            payment["completion"] = koffer::call("ec-terminal", "pay", params, payment["call"]);
        } catch (const koffer::NoAnswer& why) {
            // It may have been booked. Under the same call id it is not booked again: the call
            // joins the one that runs, or gets the answer that is already there.
            std::cout << why.what() << "; asking again" << std::endl;
            std::this_thread::sleep_for(std::chrono::seconds(2));
        } catch (const koffer::Refused& why) {
            // An attempt before this one may have been booked, so the call id stays in the file.
            std::cerr << "NOT KNOWN: " << why.what()
                      << "; check user and password, then ask again\n";
            return 2;
        }
    }

    // `effect` tells what became of the money, whatever the status is; of `ok` it is "done".
    const json& completion = payment["completion"];
    const std::string effect = completion["status"] == "ok" ? "done" : completion["effect"];
    if (effect == "done") {
        keep(path, payment);
        const json result = completion.value("result", json::object());
        std::cout << "PAID, receipt " << result.value("receipt", json()) << "\n";
        return 0;
    }
    if (effect == "none") {
        // Nothing was booked. Trying again is a new payment with a new call id.
        std::filesystem::remove(path);
        std::cerr << "NOT PAID: " << completion.value("message", "") << "\n";
        return 1;
    }
    // The call id stays in the file: ask again later, and never under a new one. Meanwhile a person
    // looks at the terminal and tells the gateway (gateway/resolve).
    std::cerr << "NOT KNOWN: " << completion.value("message", "") << "\n";
    return 3;
}
