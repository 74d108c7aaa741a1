// The structs of evaluation.json's part about errors: where they are, and which.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "eval/estimates.h"

namespace allreco::eval {

/// The examples that have one property.
struct Slice {
  std::string property = {}, value = {};
  std::int64_t num_examples = 0;
  Estimate metric = {};
  double cost =
      0;  // what the metric of all examples would gain, were this slice like the others: share * (all - slice)

  template <class Archive>
  void fields(Archive& a) {
    a("property", property);
    a("value", value);
    a("num_examples", num_examples);
    a("metric", metric);
    a("cost", cost);
  }
};

/// A wrong choice among candidates.
struct Mistake {
  std::int64_t index = 0;  // of the example in its split
  double confidence = 0;   // the probability of the chosen candidate
  std::string chosen = {}, right = {};
  std::string prompt = {};  // empty where the dataset has no tokenizer

  template <class Archive>
  void fields(Archive& a) {
    a("index", index);
    a("confidence", confidence);
    a("chosen", chosen);
    a("right", right);
    a("prompt", prompt);
  }
};

struct Confusion {
  std::string right = {}, chosen = {};
  std::int64_t count = 0;

  template <class Archive>
  void fields(Archive& a) {
    a("right", right);
    a("chosen", chosen);
    a("count", count);
  }
};

struct ErrorAnalysis {
  std::string metric = {};                 // what slices are of
  std::vector<Slice> slices = {};          // what costs most first
  std::vector<Mistake> mistakes = {};      // the most confident first
  std::vector<Confusion> confusions = {};  // the most frequent first

  template <class Archive>
  void fields(Archive& a) {
    a("metric", metric);
    a("slices", slices);
    a("most_confident_mistakes", mistakes);
    a("most_confused_titles", confusions);
  }
};

/// How generated answers are wrong. Each wrong answer is of the first kind that fits.
struct GenerationErrors {
  std::int64_t empty = 0;
  std::int64_t another_option = 0;  // the title of another candidate
  std::int64_t another_item = 0;    // the title of another item of the catalogue
  std::int64_t near_copy = 0;       // within a fifth of the right answer's length by edit distance, or its item's title
  std::int64_t not_in_catalogue = 0;  // nothing of these

  template <class Archive>
  void fields(Archive& a) {
    a("empty", empty);
    a("another_option", another_option);
    a("another_item", another_item);
    a("near_copy", near_copy);
    a("not_in_catalogue", not_in_catalogue);
  }
};

}  // namespace allreco::eval
