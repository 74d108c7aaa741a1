// The normalizer of a tokenizer.json: NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend, Strip, Sequence.
#pragma once
#include <memory>
#include <string>

#include "data/tokenizer/json_fields.h"

namespace allreco::data {

/// Immutable; thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Changes `text` (valid UTF-8). True when it now begins behind the place where it began.
  virtual bool apply(std::string& text) const = 0;
};

/// Null where `fields` is null. UserError for a type that is not supported, by its name.
std::unique_ptr<Normalizer> make_normalizer(const Fields& fields, const std::string& where, int depth = 0);

}  // namespace allreco::data
