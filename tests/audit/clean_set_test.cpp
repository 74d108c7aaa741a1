// A set that gives nothing away raises no alarm, and one that gives the answer away always does.
#include <gtest/gtest.h>

#include "audit/audit.h"
#include "core/random.h"

namespace allreco::audit {
namespace {

class RandomSet {
 public:
  explicit RandomSet(std::uint64_t seed) : stream_(core::mix_key(seed, {core::key_of("clean set")})) {
    for (std::uint32_t i = 0; i < kNumTitles; ++i) add_title("");
    add_split("train", 600);
    add_split("test", 300);
    find_frame(data_);
  }

  /// Right options get a text that is one word shorter than any other.
  void shorten_right_options() {
    for (AuditSplit& split : data_.splits) {
      for (AuditExample& example : split.examples) {
        std::uint32_t& right = example.options[example.gold];
        const std::string text = data_.texts[right].text;
        right = add_text(text.substr(0, text.find(' ')));
      }
    }
  }

  AuditDocument audit() const {
    data::DatasetInfo info;
    info.json = {{"source", "reviews"}, {"split_method", {{"method", "time"}}}};
    return allreco::audit::audit(data_, info, {});
  }

 private:
  static constexpr std::uint32_t kNumTitles = 1000;

  std::uint32_t add_text(const std::string& text) {
    data_.texts.push_back({text, vocabulary_.words_of(text), std::ssize(text) / 4});
    data_.answers.push_back(text);
    data_.answer_words.push_back(data_.texts.back().words);
    return static_cast<std::uint32_t>(data_.texts.size() - 1);
  }
  void add_title(std::string text) {
    const std::uint64_t num_words = 2 + stream_.next_below(6);
    for (std::uint64_t i = 0; i < num_words; ++i)
      text += (i == 0 ? "W" : " w") + std::to_string(stream_.next_below(400));
    add_text(text);
  }
  std::uint32_t drawn() { return static_cast<std::uint32_t>(stream_.next_below(kNumTitles)); }

  void add_split(const std::string& name, std::int64_t size) {
    AuditSplit& split = data_.splits.emplace_back(AuditSplit{name, size});
    for (std::int64_t i = 0; i < size; ++i) {
      AuditExample example{.user = stream_.next_below(300), .prompt_key = stream_.next_u64()};
      example.whole_key = stream_.next_u64();
      while (example.options.size() < 4) {
        const std::uint32_t title = drawn();
        if (std::find(example.options.begin(), example.options.end(), title) == example.options.end())
          example.options.push_back(title);
      }
      example.gold = stream_.next_below(4);
      example.answer = example.options[example.gold];
      for (int item = 0; item < 4; ++item) {
        const Words& words = data_.texts[drawn()].words;
        example.outside.insert(example.outside.end(), words.begin(), words.end());
      }
      split.examples.push_back(std::move(example));
    }
  }

  core::RandomStream stream_;
  Vocabulary vocabulary_;
  AuditData data_;
};

// What the thresholds are made for: a surface rule must lie 3 points and 3.5 standard errors above chance, which luck
// does for one of 22 rules in about 1 of 200 sets, and the combination, popularity and the position in fewer.
TEST(CleanSet, RaisesNoAlarmIn95Of100Seeds) {
  int num_alarms = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const AuditDocument document = RandomSet(seed).audit();
    ASSERT_TRUE(document.options);
    EXPECT_EQ(document.options->num_examples, 300);
    num_alarms += document.num_warnings > 0;
  }
  EXPECT_LE(num_alarms, 5);
}

TEST(CleanSet, IsAlarmedOnceRightOptionsAreShorter) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    RandomSet set(seed);
    set.shorten_right_options();
    const AuditDocument document = set.audit();
    const auto* rule = core::find(document.options->rules, "fewest_words");
    ASSERT_NE(rule, nullptr);
    EXPECT_EQ(rule->accuracy, 1);
    EXPECT_GT(document.options->combination.accuracy, 0.99);
    EXPECT_EQ(document.verdicts.front().name, "surface_rules");
    EXPECT_EQ(document.verdicts.front().status, "warning");
  }
}

}  // namespace
}  // namespace allreco::audit
