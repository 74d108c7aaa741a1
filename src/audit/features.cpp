#include "audit/features.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "core/random.h"
#include "eval/baselines.h"

namespace allreco::audit {

namespace {

// Places in features().
enum : std::size_t {
  kCharacters,
  kWords,
  kTokens,
  kDigits,
  kPunctuation,
  kNonLetters,
  kUpperCase,
  kMarkup,
  kRepetition,
  kPosition,
  kPopularity,
  kUnseenElsePopular,
  kWrongInTrain,
  kOverlap,
  kInHistory,
  kNumFeatures
};
constexpr std::size_t kNumOfText = kPosition;  // the features before it are of the text alone

Feature both_ways(const std::string& name, LooksAt looks_at, const FeatureRule& least, const FeatureRule& most) {
  return {name, looks_at, least, most};
}

double share(double part, double whole) { return whole == 0 ? 0 : part / whole; }

template <class Is>
double count_if(const std::string& text, const Is& is) {
  return static_cast<double>(std::count_if(text.begin(), text.end(), is));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_punctuation(char c) { return c > ' ' && c < 0x7F && !is_digit(c) && !is_upper(c) && !is_lower(c); }

/// Entities such as &amp; and what looks like a tag.
double num_markup(const std::string& text) {
  double count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<' && i + 1 < text.size() && (is_lower(text[i + 1]) || is_upper(text[i + 1]) || text[i + 1] == '/'))
      ++count;
    if (text[i] != '&') continue;
    std::size_t end = i + 1;
    while (end < text.size() && (is_digit(text[end]) || is_lower(text[end]) || is_upper(text[end]) || text[end] == '#'))
      ++end;
    if (end > i + 1 && end < text.size() && text[end] == ';') ++count;
  }
  return count;
}

double num_words(const std::string& text) {
  double count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) count += text[i] != ' ' && (i == 0 || text[i - 1] == ' ');
  return count;
}

std::array<double, kNumOfText> text_features(const OptionText& option) {
  const std::string& text = option.text;
  const double letters = count_if(text, is_upper) + count_if(text, is_lower);
  std::array<double, kNumOfText> values{};
  values[kCharacters] = static_cast<double>(eval::num_characters(text));
  values[kWords] = num_words(text);
  values[kTokens] = static_cast<double>(option.num_tokens);
  values[kDigits] = count_if(text, is_digit);
  values[kPunctuation] = count_if(text, is_punctuation);
  values[kNonLetters] = static_cast<double>(eval::num_odd_characters(text));
  values[kUpperCase] = share(count_if(text, is_upper), letters);
  values[kMarkup] = num_markup(text);
  const std::unordered_set<std::uint32_t> distinct(option.words.begin(), option.words.end());
  values[kRepetition] = static_cast<double>(option.words.size() - distinct.size());
  return values;
}

std::vector<Feature> make_features() {
  using enum LooksAt;
  std::vector<Feature> all(kNumFeatures);
  all[kCharacters] =
      both_ways("characters", surface, {"shortest_option", "fewest characters"}, {"longest_option", "most characters"});
  all[kWords] = both_ways("words", surface, {"fewest_words", "fewest words"}, {"most_words", "most words"});
  all[kTokens] = both_ways("tokens", surface, {"fewest_tokens", "fewest tokens"}, {"most_tokens", "most tokens"});
  all[kDigits] = both_ways("digits", surface, {"fewest_digits", "fewest digits"}, {"most_digits", "most digits"});
  all[kPunctuation] = both_ways("punctuation", surface, {"fewest_punctuation", "fewest punctuation marks"},
                                {"most_punctuation", "most punctuation marks"});
  all[kNonLetters] = both_ways("non_letters", surface, {"fewest_non_letters", "fewest characters outside [A-Za-z .?]"},
                               {"most_non_letters", "most characters outside [A-Za-z .?]"});
  all[kUpperCase] = both_ways("upper_case", surface, {"least_upper_case", "smallest share of capitals among letters"},
                              {"most_upper_case", "largest share of capitals among letters"});
  all[kMarkup] = both_ways("markup", surface, {"least_markup", "fewest HTML entities and tags left over"},
                           {"most_markup", "most HTML entities and tags left over"});
  all[kRepetition] = both_ways("repetition", surface, {"fewest_repeated_words", "fewest repeated words"},
                               {"most_repeated_words", "most repeated words"});
  all[kPosition] = both_ways("position", surface, {"first_position", "the option shown first"},
                             {"last_position", "the option shown last"});
  all[kPopularity] =
      both_ways("popularity", popularity, {"least_popular_in_train", "least often the right option in train"},
                {"most_popular_in_train", "most often the right option in train"});
  all[kUnseenElsePopular] = {"unseen_else_popular", popularity, std::nullopt,
                             FeatureRule{"unseen_else_popular", "never the right option in train, else most often"}};
  all[kWrongInTrain] =
      both_ways("wrong_in_train", popularity, {"fewest_times_wrong_in_train", "least often a wrong option in train"},
                {"most_times_wrong_in_train", "most often a wrong option in train"});
  all[kOverlap] =
      both_ways("history_overlap", history, {"least_history_overlap", "smallest share of its words in the history"},
                {"most_history_overlap", "largest share of its words in the history"});
  all[kInHistory] = both_ways("in_history", history, {"not_in_history", "does not stand in the history"},
                              {"in_history", "stands in the history"});
  return all;
}

}  // namespace

std::string name_of(LooksAt looks_at) {
  if (looks_at == LooksAt::surface) return "surface";
  return looks_at == LooksAt::popularity ? "popularity" : "history";
}

const std::vector<Feature>& features() {
  static const std::vector<Feature> all = make_features();
  return all;
}

int fold_of(const AuditExample& example, std::size_t index) {
  return static_cast<int>(core::mix_key(example.user.value_or(index), {core::key_of("fold")}) % kNumFolds);
}

FeatureReader::FeatureReader(const AuditData& data, const Examples& learned_on)
    : data_(data),
      of_texts_(kNumOfText, std::vector<double>(data.texts.size())),
      right_(data.texts.size()),
      wrong_(data.texts.size()) {
  for (std::size_t text = 0; text < data.texts.size(); ++text) {
    const auto values = text_features(data.texts[text]);
    for (std::size_t f = 0; f < kNumOfText; ++f) of_texts_[f][text] = values[f];
  }
  for (std::size_t i = 0; i < learned_on.size(); ++i) {
    const AuditExample& example = *learned_on[i];
    const auto fold = static_cast<std::size_t>(fold_of(example, i));
    for (std::size_t place = 0; place < example.options.size(); ++place)
      ++(place == example.gold ? right_ : wrong_)[example.options[place]][fold];
  }
}

double FeatureReader::count_without(const Counts& counts, std::optional<int> fold) {
  double sum = 0;
  for (int f = 0; f < kNumFolds; ++f)
    if (f != fold) sum += counts[static_cast<std::size_t>(f)];
  return sum;
}

double FeatureReader::value_of(std::size_t feature, std::uint32_t text, std::size_t place, std::optional<int> fold,
                               const Words& history) const {
  if (feature < kNumOfText) return of_texts_[feature][text];
  const Words& words = data_.texts[text].words;
  switch (feature) {
    case kPosition:
      return static_cast<double>(place);
    case kPopularity:
      return count_without(right_[text], fold);
    case kUnseenElsePopular: {
      const double count = count_without(right_[text], fold);
      return count > 0 ? count : std::numeric_limits<float>::max();
    }
    case kWrongInTrain:
      return count_without(wrong_[text], fold);
    case kOverlap: {
      const auto num_found = std::count_if(words.begin(), words.end(), [&](std::uint32_t word) {
        return std::find(history.begin(), history.end(), word) != history.end();
      });
      return share(static_cast<double>(num_found), static_cast<double>(words.size()));
    }
    default:
      return contains(history, words) ? 1 : 0;
  }
}

FeatureValues FeatureReader::values_of(const AuditExample& example, std::optional<int> fold) const {
  const Words history = data_.history_of(example);
  FeatureValues values(kNumFeatures);
  for (std::size_t f = 0; f < kNumFeatures; ++f) {
    for (std::size_t place = 0; place < example.options.size(); ++place) {
      // Phrases are looked for with the frame's words, as those may be part of a title.
      const Words& where = f == kInHistory ? example.outside : history;
      values[f].push_back(value_of(f, example.options[place], place, fold, where));
    }
  }
  return values;
}

}  // namespace allreco::audit
