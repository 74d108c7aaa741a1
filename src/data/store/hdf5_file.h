// HDF5 files of flat arrays, written once and then only read: the one place that knows the HDF5 library.
// Arrays are contiguous and uncompressed, so a reader asks HDF5 once where an array lies and reads its bytes itself.
// HDF5 calls come from one thread at a time. Errors are UserErrors that name the file and carry the system's reason
// ("No space left on device").
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <type_traits>
#include <vector>

#include "core/input_file.h"

namespace allreco::data {

enum class ElementType { uint8, uint16, uint32, uint64, int64 };

std::uint64_t size_of(ElementType type);  // in bytes
std::string name_of(ElementType type);

template <class T>
constexpr ElementType element_type_of() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return ElementType::uint8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return ElementType::uint16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return ElementType::uint32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return ElementType::uint64;
  if constexpr (std::is_same_v<T, std::int64_t>) return ElementType::int64;
}

/// Writes a new file. Equal content gives equal bytes (no times are stored). The caller fsyncs and renames.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(const std::filesystem::path& path);
  ~Hdf5Writer();  // closes without a word when close() was not called
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// Little-endian elements, shape [d0] or [d0, d1].
  void create_array(const std::string& name, ElementType type, const std::vector<std::uint64_t>& shape);
  /// Fills `count` elements of a one-dimensional array from element `first` on.
  void write_slice(const std::string& name, ElementType type, std::uint64_t first, std::uint64_t count,
                   const void* values);
  /// The same for rows of a two-dimensional array, `width` elements each.
  void write_rows(const std::string& name, ElementType type, std::uint64_t first, std::uint64_t count,
                  std::uint64_t width, const void* values);
  /// create_array and fill it.
  template <class T>
  void write_array(const std::string& name, const std::vector<T>& values, const std::vector<std::uint64_t>& shape) {
    create_array(name, element_type_of<T>(), shape);
    write_all(name, element_type_of<T>(), values.size(), values.data());
  }
  void write_attribute(const std::string& name, std::int64_t value);
  void write_attribute(const std::string& name, const std::string& value);
  /// Hands everything that HDF5 still holds to the system.
  void flush();
  void close();

 private:
  void write_block(const std::string& name, ElementType type, const std::vector<std::uint64_t>& start,
                   const std::vector<std::uint64_t>& shape, const void* values);
  void write_all(const std::string& name, ElementType type, std::uint64_t count, const void* values);

  std::filesystem::path path_;
  std::int64_t file_ = -1;
};

/// Where an array's bytes lie in its file.
struct ArrayPlace {
  ElementType type = ElementType::uint8;
  std::vector<std::uint64_t> shape;
  std::uint64_t first_byte = 0;  // 0 when the array is empty
};

/// Reads a finished file, without locks: shared file systems often have none. Takes nothing for granted: an array or
/// attribute that is not of exactly the kind that Hdf5Writer writes is refused before any of it is read, and so is
/// whatever would lead HDF5 out of the file (links, external storage, virtual arrays) or into code that this format
/// does not use (filters, plug-ins). UserErrors name the file and what is wrong.
class Hdf5Reader {
 public:
  /// UserError when the file is missing, no regular file, cut short or no HDF5 file.
  explicit Hdf5Reader(const std::filesystem::path& path);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  bool has_array(const std::string& name) const;
  /// UserError unless it lies contiguously in the file itself, whole, as one of the five types above, in one or two
  /// dimensions.
  ArrayPlace place_of(const std::string& name) const;
  bool has_attribute(const std::string& name) const;
  /// UserError unless it is one int64.
  std::int64_t int_attribute(const std::string& name) const;
  /// UserError unless it is one string of fixed size, of at most 4096 bytes.
  std::string string_attribute(const std::string& name) const;

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& why) const;

  core::InputFile bytes_;
  std::filesystem::path path_;
  std::int64_t file_ = -1;
};

}  // namespace allreco::data
