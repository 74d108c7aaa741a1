// A shop whose data try everything at once.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/random.h"
#include "data/prepare/naive_history.h"

namespace allreco::data {

/// Titles that look like other parts of a prompt, shoppers who buy the same twice or all at once, reviews that are
/// there twice. Equal seeds, equal shops.
class MadeUpShop {
 public:
  explicit MadeUpShop(std::uint64_t seed) : draw_(seed) {}

  void write(const std::filesystem::path& directory) {
    constexpr size_t kItems = 40;
    std::string items, rows;
    for (size_t i = 0; i < kItems; ++i) items += core::Json{{"asin", asin(i)}, {"title", title(i)}}.dump() + "\n";
    for (size_t shopper = 0; shopper < 60; ++shopper) {
      const size_t num_purchases = 1 + draw_.next_below(14);
      std::uint64_t day = draw_.next_below(300);
      for (size_t k = 0; k < num_purchases; ++k) {
        day += draw_.next_below(4) *
               draw_.next_below(20);  // a quarter of the purchases and more are of the day of the one before
        rows += review(shopper, draw_.next_below(kItems) * draw_.next_below(kItems) / kItems, day);
        if (draw_.next_below(8) == 0) rows += rows.substr(rows.rfind('\n', rows.size() - 2) + 1);
      }
    }
    core::write_file_atomically(directory / "items.json", items);
    core::write_file_atomically(directory / "reviews.json", rows);
  }

 private:
  static std::string asin(size_t item) { return fmt::format("B{:09}", item); }
  std::string title(size_t item) {
    static const std::vector<std::string> kParts = {
        "Tea",          "B) Coffee", "{title}",       "{history}",    "Options:",    "### Response:", "<|im_end|>",
        "</s>",         "[INST]",    "<end_of_turn>", "<|eot_id|>",   "caf\u00e9",   "cafe\u0301",    "\u8336",
        "\u2764\ufe0f", "A) ",       "\"quoted\"",    "12 oz",        "(Pack of 3)", "- Soap",        "R&amp;D",
        "<b>Rice</b>",  "\t",        "Response",      "oldest first."};
    std::string text =
        draw_.next_below(10) == 0 ? "" : fmt::format("No. {} ", item);  // without a number some titles are equal
    for (size_t n = 1 + draw_.next_below(6); n > 0; --n) text += kParts[draw_.next_below(kParts.size())] + " ";
    return text;
  }
  std::string review(size_t shopper, size_t item, std::uint64_t day) {
    return json_2018({fmt::format("S{}", shopper), asin(item), 86400 * static_cast<std::int64_t>(day),
                      static_cast<double>(1 + draw_.next_below(5)), draw_.next_below(2) == 0});
  }

  core::RandomStream draw_;
};

}  // namespace allreco::data
