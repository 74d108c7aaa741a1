#include "data/store/lines_writer.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/json.h"

namespace allreco::data {
using core::Json;

std::string item_line(const Item& item) {
  Json line = {{"id", item.id}, {"asin", item.asin}, {"title", item.title}, {"train_count", item.train_count}};
  line["tokens"] = item.tokens;
  if (!item.category.empty()) line["category"] = item.category;
  if (!item.brand.empty()) line["brand"] = item.brand;
  if (!item.price.empty()) line["price"] = item.price;
  try {
    return line.dump() + "\n";
  } catch (const Json::exception&) {
    core::fault("the title, asin or category of item {} is not UTF-8", item.id);
  }
}

std::string sequence_line(std::span<const std::uint32_t> items) {
  return fmt::format("[{}]", fmt::join(items, ",")) + "\n";
}

LinesWriter::LinesWriter(std::filesystem::path path) : path_(std::move(path)), file_(path_, std::ios::binary) {
  if (!file_) write_failed();
}

void LinesWriter::append(std::string_view lines) {
  if (!file_.write(lines.data(), static_cast<std::streamsize>(lines.size()))) write_failed();
}

void LinesWriter::close() {
  file_.close();
  if (!file_) write_failed();
}

void LinesWriter::write_failed() const {
  core::user_error("cannot write {}: {}. Free some space or choose another directory", path_.string(),
                   std::strerror(errno));
}

}  // namespace allreco::data
