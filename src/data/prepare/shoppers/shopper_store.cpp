#include "data/prepare/shoppers/shopper_store.h"

#include <string>
#include <utility>

namespace allreco::data {

namespace {

struct ShopperHeader {
  std::uint64_t user;
  std::uint64_t num_purchases, num_titles;
};

template <class T>
void append_values(std::string& bytes, const std::vector<T>& values) {
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

/// In pieces: a reader's buffer is as large as what is read at once.
template <class T>
void read_values(core::SpoolReader& reader, std::size_t count, std::vector<T>& values) {
  values.resize(count);
  constexpr std::size_t kAtOnce = core::Spool::kChunkBytes / 2;
  char* to = reinterpret_cast<char*>(values.data());
  for (std::size_t left = count * sizeof(T); left > 0;) {
    const std::size_t bytes = std::min(left, kAtOnce);
    reader.read_into(to, bytes);
    to += bytes;
    left -= bytes;
  }
}

}  // namespace

void pack_shopper(const Shopper& shopper, std::string& bytes) {
  const ShopperHeader header{shopper.user, shopper.purchases.size(), shopper.bought_titles.size()};
  bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
  append_values(bytes, shopper.purchases);
  append_values(bytes, shopper.bought_titles);
}

void read_shopper(core::SpoolReader& reader, Shopper& shopper) {
  const auto header = reader.read_value<ShopperHeader>();
  shopper.user = header.user;
  read_values(reader, header.num_purchases, shopper.purchases);
  read_values(reader, header.num_titles, shopper.bought_titles);
}

void ShopperStore::append(const Shopper& shopper) {
  packed_.clear();
  pack_shopper(shopper, packed_);
  spool_.append(packed_);
  ++num_shoppers_;
  num_purchases_ += std::ssize(shopper.purchases);
}

void ShopperStore::for_each(const std::function<void(Shopper&)>& visit) const {
  core::SpoolReader reader(spool_);
  for (Shopper shopper; !reader.at_end();) {
    read_shopper(reader, shopper);
    visit(shopper);
  }
}

}  // namespace allreco::data
