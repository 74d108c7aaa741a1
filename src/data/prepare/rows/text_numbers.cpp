#include "data/prepare/rows/text_numbers.h"

#include <numeric>

#include "data/prepare/packed_text.h"

namespace allreco::data {

void TextNumbers::join(PrepareRanks& ranks) {
  texts_ = own_.take();
  joined_.resize(texts_.size());
  if (ranks.size() == 1) {
    std::iota(joined_.begin(), joined_.end(), 0U);
    return;
  }
  std::string packed;
  for (const std::string& text : texts_) append_text(packed, text);
  ItemNumbers all;
  for (const std::string& of_rank : ranks.all_gather(packed))
    for (std::string_view bytes = of_rank; !bytes.empty();) all.number_of(take_text(bytes));
  for (std::size_t own = 0; own < texts_.size(); ++own) joined_[own] = all.number_of(texts_[own]);
  texts_ = all.take();
}

}  // namespace allreco::data
