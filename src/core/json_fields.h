// JSON of structs that describe their fields once, for writing and for reading:
//
//   template <class Archive>
//   void fields(Archive& a) {
//     a("key", member);            // numbers, texts, vectors, Named, Json, structs with fields(); optionals of these
//     a.or_null("key", optional);  // null where there is none; a("key", optional) leaves the key out
//     a.inlined(members);          // a Named: its keys beside the others
//   }
//
// A struct that is no object in JSON has functions json_of(value) and read_json(json, value, where) in its namespace.
#pragma once
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/json.h"

namespace allreco::core {

/// Values by name, in the order in which they are shown: a JSON object.
template <class T>
using Named = std::vector<std::pair<std::string, T>>;

/// The value of that name, or null.
template <class T>
const T* find(const Named<T>& values, std::string_view name) {
  for (const auto& [key, value] : values)
    if (key == name) return &value;
  return nullptr;
}

/// A part of a document that may not apply: in JSON {"not_applicable": reason} in its place.
template <class T>
struct Part {
  std::optional<T> value;
  std::string not_applicable;  // why there is none

  static Part none(std::string why) { return {std::nullopt, std::move(why)}; }
  explicit operator bool() const { return value.has_value(); }
  const T* operator->() const { return &*value; }
  const T& operator*() const { return *value; }
};

template <class T>
Json json_of(const T& value);
/// UserError naming `where` for what is not a T.
template <class T>
void read_json(const Json& json, T& value, const std::string& where);

template <class T>
T from_json(const Json& json, const std::string& where) {
  T value;
  read_json(json, value, where);
  return value;
}

class FieldWriter {
 public:
  explicit FieldWriter(Json& object) : object_(object) {}
  static constexpr bool kReads = false;

  template <class T>
  void operator()(const char* key, const T& value) {
    object_[key] = json_of(value);
  }
  template <class T>
  void operator()(const char* key, const std::optional<T>& value) {
    if (value) object_[key] = json_of(*value);
  }
  template <class T>
  void or_null(const char* key, const std::optional<T>& value) {
    object_[key] = value ? json_of(*value) : Json();
  }
  template <class T>
  void inlined(const Named<T>& values) {
    for (const auto& [key, value] : values) object_[key] = json_of(value);
  }

 private:
  Json& object_;
};

class FieldReader {
 public:
  FieldReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}
  static constexpr bool kReads = true;

  template <class T>
  void operator()(const char* key, T& value) const {
    if (!object_.contains(key)) user_error("{}: it has no \"{}\"", where_, key);
    read_json(object_.at(key), value, place(key));
  }
  template <class T>
  void operator()(const char* key, std::optional<T>& value) const {
    value.reset();
    if (object_.contains(key) && !object_.at(key).is_null()) read_json(object_.at(key), value.emplace(), place(key));
  }
  template <class T>
  void or_null(const char* key, std::optional<T>& value) const {
    (*this)(key, value);
  }
  /// Those members that T::is_written_as finds to be one.
  template <class T>
  void inlined(Named<T>& values) const {
    values.clear();
    for (const auto& [key, json] : object_.items())
      if (T::is_written_as(json)) read_json(json, values.emplace_back(key, T{}).second, place(key));
  }

 private:
  std::string place(const std::string& key) const { return where_ + "/" + key; }

  const Json& object_;
  std::string where_;
};

namespace json_fields {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsNamed : std::false_type {};
template <class T>
struct IsNamed<Named<T>> : std::true_type {};
template <class T>
struct IsPart : std::false_type {};
template <class T>
struct IsPart<Part<T>> : std::true_type {};
template <class T>
concept HasFields = requires(T& value, FieldWriter& writer) {
  value.fields(writer);
};

}  // namespace json_fields

template <class T>
Json json_of(const T& value) {
  using namespace json_fields;
  if constexpr (IsNamed<T>::value) {
    Json json = Json::object();
    FieldWriter(json).inlined(value);
    return json;
  } else if constexpr (IsVector<T>::value) {
    Json json = Json::array();
    for (const auto& element : value) json.push_back(json_of(static_cast<const typename T::value_type&>(element)));
    return json;
  } else if constexpr (IsPart<T>::value) {
    return value ? json_of(*value) : Json{{"not_applicable", value.not_applicable}};
  } else if constexpr (HasFields<T>) {
    Json json = Json::object();
    FieldWriter writer(json);
    const_cast<T&>(value).fields(writer);  // NOLINT(*-const-cast): one description for both ways; a writer only reads
    return json;
  } else {
    return Json(value);
  }
}

template <class T>
void read_json(const Json& json, T& value, const std::string& where) {
  using namespace json_fields;
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) user_error("{}: {} is expected, found {}", where, what, json.type_name());
  };
  if constexpr (std::is_same_v<T, Json>) {
    value = json;
  } else if constexpr (IsNamed<T>::value) {
    expect(json.is_object(), "an object");
    value.clear();
    for (const auto& [key, member] : json.items())
      read_json(member, value.emplace_back(key, typename T::value_type::second_type{}).second,
                std::string(where).append("/").append(key));
  } else if constexpr (IsVector<T>::value) {
    expect(json.is_array(), "an array");
    value.clear();
    for (const Json& element : json) value.push_back(from_json<typename T::value_type>(element, where));
  } else if constexpr (IsPart<T>::value) {
    value = {};
    if (json.is_object() && json.contains("not_applicable") && json.size() == 1)
      read_json(json.at("not_applicable"), value.not_applicable, where);
    else
      read_json(json, value.value.emplace(), where);
  } else if constexpr (HasFields<T>) {
    expect(json.is_object(), "an object");
    FieldReader reader(json, where);
    value.fields(reader);
  } else if constexpr (std::is_same_v<T, bool>) {
    expect(json.is_boolean(), "true or false");
    value = json.template get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    const auto number = whole_number<T>(json);
    expect(number.has_value(), "a whole number");
    value = *number;
  } else if constexpr (std::is_floating_point_v<T>) {
    expect(json.is_number(), "a number");
    value = json.template get<T>();
  } else {
    static_assert(std::is_same_v<T, std::string>, "no field of JSON");
    expect(json.is_string(), "a text");
    value = json.template get<std::string>();
  }
}

}  // namespace allreco::core
