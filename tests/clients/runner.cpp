// Makes the calls on standard input, one line of JSON each, and writes one line for each: its
// completion and its progress.

#include "koffer.hpp"

int main() {
    using koffer::json;
    for (std::string line; std::getline(std::cin, line);) {
        const auto wanted = json::parse(line);
        json progress = json::array();
        const auto completion =
            koffer::call(wanted["device"], wanted["operation"], wanted["params"], wanted["call"],
                         [&](const json& event) { progress.push_back(event); });
        std::cout << json{{"completion", completion}, {"progress", progress}} << std::endl;
    }
}
