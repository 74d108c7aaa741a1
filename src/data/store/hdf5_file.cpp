#include "data/store/hdf5_file.h"

#include <hdf5.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "data/store/superblock.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

static_assert(std::is_same_v<hid_t, std::int64_t>, "the header keeps HDF5's ids as int64");

/// Any HDF5 id; closed when it leaves scope.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  ~Handle() { close_now(); }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// HDF5 may hold data back until an array is closed: then the close is what fails.
  bool close_now() { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_;
  Close close_;
};

/// Before the first call: no printing to stderr, and no clean-up at exit (after a failed flush HDF5 would try it again
/// and again).
/// And no plug-ins: a file could name a filter that HDF5 would look for in a directory of the environment.
void prepare_library() {
  H5dont_atexit();
  H5PLset_loading_state(0);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

struct Reason {
  std::string innermost;  // what the deepest function said
  std::string system;     // the system's message, where there is one
};

herr_t read_reason(unsigned, const H5E_error2_t* error, void* data) {
  auto* reason = static_cast<Reason*>(data);
  const std::string_view text = error->desc ? error->desc : "";
  if (reason->innermost.empty()) reason->innermost = text;
  constexpr std::string_view kMark = "error message = '";
  const size_t start = text.find(kMark);
  if (start == std::string_view::npos || !reason->system.empty()) return 0;
  const size_t first = start + kMark.size();
  reason->system = text.substr(first, text.find('\'', first) - first);
  return 0;
}

/// Why the last HDF5 call failed.
std::string last_reason() {
  Reason reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, &read_reason, &reason);
  if (!reason.system.empty()) return reason.system;
  return reason.innermost.empty() ? "HDF5 gave no reason" : reason.innermost;
}

[[noreturn]] void write_failed(const fs::path& path) {
  core::user_error("cannot write {}: {}. Free some space or choose another directory", path.string(), last_reason());
}

[[noreturn]] void read_failed(const fs::path& path, const std::string& what) {
  core::user_error("cannot read {} of {}: {}. Prepare the dataset again or copy it again", what, path.string(),
                   last_reason());
}

struct TypeRow {
  ElementType type;
  std::uint64_t size;
  const char* name;
};
constexpr std::array<TypeRow, 5> kTypes{{{ElementType::uint8, 1, "uint8"},
                                         {ElementType::uint16, 2, "uint16"},
                                         {ElementType::uint32, 4, "uint32"},
                                         {ElementType::uint64, 8, "uint64"},
                                         {ElementType::int64, 8, "int64"}}};

const TypeRow& row_of(ElementType type) { return kTypes[static_cast<size_t>(type)]; }

hid_t stored_type(ElementType type) {
  switch (type) {
    case ElementType::uint8:
      return H5T_STD_U8LE;
    case ElementType::uint16:
      return H5T_STD_U16LE;
    case ElementType::uint32:
      return H5T_STD_U32LE;
    case ElementType::uint64:
      return H5T_STD_U64LE;
    case ElementType::int64:
      return H5T_STD_I64LE;
  }
  core::fault("unknown element type {}", static_cast<int>(type));
}

hid_t memory_type(ElementType type) {
  switch (type) {
    case ElementType::uint8:
      return H5T_NATIVE_UINT8;
    case ElementType::uint16:
      return H5T_NATIVE_UINT16;
    case ElementType::uint32:
      return H5T_NATIVE_UINT32;
    case ElementType::uint64:
      return H5T_NATIVE_UINT64;
    case ElementType::int64:
      return H5T_NATIVE_INT64;
  }
  core::fault("unknown element type {}", static_cast<int>(type));
}

Handle access_without_locks() {
  Handle access(H5Pcreate(H5P_FILE_ACCESS), &H5Pclose);
  core::require(access.valid() && H5Pset_file_locking(access.get(), false, true) >= 0, "HDF5 file access properties");
  return access;
}

/// An attribute of one fixed-size value: `type` as stored, `value` in memory as `memory`.
void write_scalar(hid_t file, const fs::path& path, const std::string& name, hid_t type, hid_t memory,
                  const void* value) {
  Handle space(H5Screate(H5S_SCALAR), &H5Sclose);
  Handle attribute(H5Acreate2(file, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT), &H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.get(), memory, value) < 0 || !attribute.close_now()) write_failed(path);
}

constexpr size_t kLongestString = 4096;

/// An attribute of the root, opened but not read: reading writes as much as the file says it holds.
class ScalarAttribute {
 public:
  ScalarAttribute(hid_t file, const std::string& name)
      : attribute_(H5Aopen(file, name.c_str(), H5P_DEFAULT), &H5Aclose),
        type_(H5Aget_type(attribute_.get()), &H5Tclose),
        space_(H5Aget_space(attribute_.get()), &H5Sclose) {}
  bool is_valid() const { return attribute_.valid() && type_.valid() && space_.valid(); }
  bool is_scalar() const { return H5Sget_simple_extent_type(space_.get()) == H5S_SCALAR; }
  hid_t id() const { return attribute_.get(); }
  hid_t type() const { return type_.get(); }

 private:
  Handle attribute_, type_, space_;
};

/// The type that the array's elements have in the file, bit by bit; else `refuse()`, which throws.
template <class Refuse>
ElementType known_type(hid_t array, const Refuse& refuse) {
  const Handle type(H5Dget_type(array), &H5Tclose);
  for (const TypeRow& row : kTypes) {
    if (type.valid() && H5Tequal(type.get(), stored_type(row.type)) > 0) return row.type;
  }
  refuse();
  core::fault("an array's type was not refused");
}

template <class Refuse>
std::vector<std::uint64_t> shape_of(hid_t array, const Refuse& refuse) {
  const Handle space(H5Dget_space(array), &H5Sclose);
  const int rank = space.valid() ? H5Sget_simple_extent_ndims(space.get()) : -1;
  std::array<hsize_t, 2> dimensions{};
  if (rank < 1 || rank > 2 || H5Sget_simple_extent_type(space.get()) != H5S_SIMPLE ||
      H5Sget_simple_extent_dims(space.get(), dimensions.data(), nullptr) != rank)
    refuse();
  return {dimensions.begin(), dimensions.begin() + rank};
}

}  // namespace

std::uint64_t size_of(ElementType type) { return row_of(type).size; }
std::string name_of(ElementType type) { return row_of(type).name; }

Hdf5Writer::Hdf5Writer(const fs::path& path) : path_(path) {
  prepare_library();
  Handle access = access_without_locks();
  file_ = H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get());
  if (file_ < 0) write_failed(path_);
}

Hdf5Writer::~Hdf5Writer() {
  if (file_ >= 0) H5Fclose(file_);
}

void Hdf5Writer::create_array(const std::string& name, ElementType type, const std::vector<std::uint64_t>& shape) {
  core::require(!shape.empty() && shape.size() <= 2, "an array has one or two dimensions");
  const std::vector<hsize_t> dimensions(shape.begin(), shape.end());
  Handle space(H5Screate_simple(static_cast<int>(dimensions.size()), dimensions.data(), nullptr), &H5Sclose);
  Handle creation(H5Pcreate(H5P_DATASET_CREATE), &H5Pclose);
  const bool ready = H5Pset_layout(creation.get(), H5D_CONTIGUOUS) >= 0 &&
                     H5Pset_obj_track_times(creation.get(), false) >= 0 &&
                     H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER) >= 0;
  core::require(space.valid() && ready, "HDF5 array properties");
  Handle array(
      H5Dcreate2(file_, name.c_str(), stored_type(type), space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
      &H5Dclose);
  if (!array.valid() || !array.close_now()) write_failed(path_);
}

void Hdf5Writer::write_slice(const std::string& name, ElementType type, std::uint64_t first, std::uint64_t count,
                             const void* values) {
  if (count > 0) write_block(name, type, {first}, {count}, values);
}

void Hdf5Writer::write_rows(const std::string& name, ElementType type, std::uint64_t first, std::uint64_t count,
                            std::uint64_t width, const void* values) {
  if (count > 0) write_block(name, type, {first, 0}, {count, width}, values);
}

void Hdf5Writer::write_block(const std::string& name, ElementType type, const std::vector<std::uint64_t>& start,
                             const std::vector<std::uint64_t>& shape, const void* values) {
  Handle array(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), &H5Dclose);
  Handle file_space(H5Dget_space(array.get()), &H5Sclose);
  const std::vector<hsize_t> first(start.begin(), start.end()), counts(shape.begin(), shape.end());
  const herr_t selected =
      H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, first.data(), nullptr, counts.data(), nullptr);
  core::require(array.valid() && selected >= 0, "a slice lies inside its array");
  Handle memory_space(H5Screate_simple(static_cast<int>(counts.size()), counts.data(), nullptr), &H5Sclose);
  const herr_t written =
      H5Dwrite(array.get(), memory_type(type), memory_space.get(), file_space.get(), H5P_DEFAULT, values);
  if (written < 0 || !array.close_now()) write_failed(path_);
}

void Hdf5Writer::write_all(const std::string& name, ElementType type, std::uint64_t count, const void* values) {
  Handle array(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), &H5Dclose);
  Handle space(H5Dget_space(array.get()), &H5Sclose);
  core::require(std::cmp_equal(H5Sget_simple_extent_npoints(space.get()), count), "an array's values fill its shape");
  if (count == 0) return;
  const herr_t written = H5Dwrite(array.get(), memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  if (written < 0 || !array.close_now()) write_failed(path_);
}

void Hdf5Writer::write_attribute(const std::string& name, std::int64_t value) {
  write_scalar(file_, path_, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

void Hdf5Writer::write_attribute(const std::string& name, const std::string& value) {
  Handle type(H5Tcopy(H5T_C_S1), &H5Tclose);
  core::require(type.valid() && H5Tset_size(type.get(), value.size() + 1) >= 0, "HDF5 string type");
  write_scalar(file_, path_, name, type.get(), type.get(), value.c_str());
}

void Hdf5Writer::flush() {
  if (H5Fflush(file_, H5F_SCOPE_LOCAL) < 0) write_failed(path_);
}

void Hdf5Writer::close() {
  if (H5Fclose(std::exchange(file_, -1)) < 0) write_failed(path_);
}

Hdf5Reader::Hdf5Reader(const fs::path& path) : bytes_(path), path_(path) {
  check_superblock(bytes_);
  prepare_library();
  Handle access = access_without_locks();
  file_ = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get());
  if (file_ < 0)
    core::user_error("cannot open {} as HDF5: {}. Prepare the dataset again or copy it again", path.string(),
                     last_reason());
}

Hdf5Reader::~Hdf5Reader() {
  if (file_ >= 0) H5Fclose(file_);
}

void Hdf5Reader::refuse(const std::string& what, const std::string& why) const {
  core::user_error("{} of {} {}. Prepare the dataset again or copy it again", what, path_.string(), why);
}

bool Hdf5Reader::has_array(const std::string& name) const {
  const htri_t exists = H5Lexists(file_, name.c_str(), H5P_DEFAULT);
  if (exists < 0) read_failed(path_, "/" + name);
  return exists > 0;
}

ArrayPlace Hdf5Reader::place_of(const std::string& name) const {
  const std::string what = "/" + name;
  H5L_info_t link{};
  if (H5Lget_info(file_, name.c_str(), &link, H5P_DEFAULT) < 0) read_failed(path_, what);
  if (link.type != H5L_TYPE_HARD) refuse(what, "is a link to another place; an array must lie in the file itself");
  Handle array(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), &H5Dclose);
  if (!array.valid()) read_failed(path_, what);
  // First of all: asking a virtual array for its shape opens the files that it is made of.
  Handle creation(H5Dget_create_plist(array.get()), &H5Pclose);
  if (!creation.valid()) read_failed(path_, what);
  if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS) refuse(what, "is not contiguous");
  if (H5Pget_external_count(creation.get()) != 0) refuse(what, "keeps its data in other files");
  if (H5Pget_nfilters(creation.get()) != 0) refuse(what, "is compressed or filtered");

  ArrayPlace place;
  place.type = known_type(array.get(), [&] { refuse(what, "has an element type that no dataset uses"); });
  place.shape = shape_of(array.get(), [&] { refuse(what, "is no array of one or two dimensions"); });
  std::uint64_t num_bytes = size_of(place.type);
  for (const std::uint64_t extent : place.shape) {
    if (__builtin_mul_overflow(num_bytes, extent, &num_bytes)) refuse(what, "is larger than its file");
  }
  if (num_bytes == 0) return place;
  const haddr_t offset = H5Dget_offset(array.get());
  if (offset == HADDR_UNDEF || offset > bytes_.size() || num_bytes > bytes_.size() - offset)
    refuse(what, "has no data in the file");
  place.first_byte = offset;
  return place;
}

bool Hdf5Reader::has_attribute(const std::string& name) const {
  const htri_t exists = H5Aexists(file_, name.c_str());
  if (exists < 0) read_failed(path_, "attribute " + name);
  return exists > 0;
}

std::int64_t Hdf5Reader::int_attribute(const std::string& name) const {
  const std::string what = "attribute " + name;
  const ScalarAttribute attribute(file_, name);
  if (!attribute.is_valid()) read_failed(path_, what);
  if (!attribute.is_scalar() || H5Tequal(attribute.type(), H5T_STD_I64LE) <= 0) refuse(what, "is not one int64");
  std::int64_t value = 0;
  if (H5Aread(attribute.id(), H5T_NATIVE_INT64, &value) < 0) read_failed(path_, what);
  return value;
}

std::string Hdf5Reader::string_attribute(const std::string& name) const {
  const std::string what = "attribute " + name;
  const ScalarAttribute attribute(file_, name);
  if (!attribute.is_valid()) read_failed(path_, what);
  if (!attribute.is_scalar() || H5Tget_class(attribute.type()) != H5T_STRING ||
      H5Tis_variable_str(attribute.type()) != 0)
    refuse(what, "is not one string of fixed size");
  const size_t size = H5Tget_size(attribute.type());
  if (size > kLongestString) refuse(what, fmt::format("has {} bytes, more than {}", size, kLongestString));
  std::string value(size, '\0');
  if (H5Aread(attribute.id(), attribute.type(), value.data()) < 0) read_failed(path_, what);
  return value.substr(0, value.find('\0'));
}

}  // namespace allreco::data
