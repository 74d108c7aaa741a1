#include "model/checkpoint/quantized_checkpoint.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <map>

#include "core/check.h"
#include "core/json.h"
#include "model/checkpoint/checkpoint_checks.h"

namespace allreco::model {
using core::Json;
using core::user_error;

namespace {

constexpr const char* kState = ".quant_state.bitsandbytes__nf4";
constexpr const char* kOtherState = ".quant_state.bitsandbytes__fp4";

const std::map<std::string, at::ScalarType>& quantized_dtypes() {
  static const std::map<std::string, at::ScalarType> kDtypes{
      {"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}};
  return kDtypes;
}

std::string where(const Checkpoint& checkpoint, const std::string& tensor) {
  return fmt::format("{}: {}", checkpoint.file_of(tensor).string(), tensor);
}

/// As Python writes a float: the shortest text that gives the same double back, with a point or an exponent.
std::string python_float(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

/// quant_state: what the tensors cannot say themselves.
struct QuantState {
  std::int64_t blocksize = 0, nested_blocksize = 0;
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
  float nested_offset = 0;
};

class StateReader {
 public:
  StateReader(const Checkpoint& checkpoint, const std::string& weight) : where_(where(checkpoint, weight + kState)) {
    const at::Tensor bytes = checkpoint.tensor(weight + kState);
    if (bytes.scalar_type() != at::kByte)
      user_error("{} holds {}, expected bytes of JSON", where_, c10::toString(bytes.scalar_type()));
    const auto* begin = static_cast<const char*>(bytes.const_data_ptr());
    const std::string_view text(begin, static_cast<size_t>(bytes.numel()));
    if (!core::nests_too_deeply(text)) json_ = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json_.is_object()) {
      user_error("{} is no JSON object (is its nested_offset NaN?): {}", where_, text.substr(0, 200));
    }
  }

  QuantState read(bool is_nested) const {
    QuantState state;
    if (get("quant_type") != "nf4") refuse("quant_type", "\"nf4\"");
    state.blocksize = block("blocksize");
    const auto dtype =
        get("dtype").is_string() ? quantized_dtypes().find(get("dtype").get<std::string>()) : quantized_dtypes().end();
    if (dtype == quantized_dtypes().end()) refuse("dtype", "float32, bfloat16 or float16");
    state.dtype = dtype->second;
    for (const Json& extent : get("shape")) {
      const auto size = core::whole_number<std::int64_t>(extent);
      if (!size) refuse("shape", "whole numbers");
      state.shape.push_back(*size);
    }
    if (is_nested) read_nested(state);
    return state;
  }

 private:
  void read_nested(QuantState& state) const {
    state.nested_blocksize = ops::kNestedBlocksize;
    if (get("nested_blocksize") != ops::kNestedBlocksize) refuse("nested_blocksize", "256");
    if (get("nested_dtype") != "float32") refuse("nested_dtype", "\"float32\"");
    const Json& offset = get("nested_offset");
    if (offset.is_number()) state.nested_offset = offset.get<float>();
    if (!offset.is_number() || !std::isfinite(state.nested_offset)) refuse("nested_offset", "a finite number");
  }

  Json get(const char* key) const { return json_.value(key, Json()); }
  std::int64_t block(const char* key) const {
    const Json value = get(key);
    const std::int64_t size = core::whole_number<std::int64_t>(value).value_or(0);
    if (!ops::is_nf4_blocksize(size)) refuse(key, "a power of two from 32 to 4096");
    return size;
  }
  [[noreturn]] void refuse(const char* key, const char* expected) const {
    user_error("{}: {} = {} is not supported, expected {}", where_, key, get(key).dump(), expected);
  }

  std::string where_;
  Json json_;
};

void check_part(const Checkpoint& checkpoint, const std::string& name, at::ScalarType dtype,
                const std::vector<std::int64_t>& shape) {
  if (checkpoint.dtype_of(name) == dtype && checkpoint.shape_of(name) == shape) return;
  user_error("{} is {} [{}], expected {} [{}] from the shape and the blocksize of its quant_state",
             where(checkpoint, name), c10::toString(checkpoint.dtype_of(name)),
             fmt::join(checkpoint.shape_of(name), ", "), c10::toString(dtype), fmt::join(shape, ", "));
}

void require_part(const Checkpoint& checkpoint, const std::string& weight, const std::string& name) {
  if (checkpoint.contains(name)) return;
  user_error("{} is quantised, but the checkpoint lacks {}", where(checkpoint, weight), name);
}

bool is_nested(const Checkpoint& checkpoint, const std::string& weight) {
  return checkpoint.contains(weight + ".nested_absmax") || checkpoint.contains(weight + ".nested_quant_map");
}

QuantState read_state(const Checkpoint& checkpoint, const std::string& weight) {
  if (checkpoint.contains(weight + kOtherState))
    user_error("{}: fp4 is not supported, expected nf4", where(checkpoint, weight + kOtherState));
  const bool nested = is_nested(checkpoint, weight);
  for (const std::string& name : nf4_names(weight, nested)) require_part(checkpoint, weight, name);
  return StateReader(checkpoint, weight).read(nested);
}

void check_table(const Checkpoint& checkpoint, const std::string& weight) {
  const std::string name = weight + ".quant_map";
  check_part(checkpoint, name, at::kFloat, {16});
  if (!at::equal(checkpoint.tensor(name), ops::nf4_map()))
    user_error("{} is not the table of NF4: another quantisation, or a damaged file", where(checkpoint, name));
}

void check_scales(const Checkpoint& checkpoint, const std::string& name) {
  const at::Tensor scales = checkpoint.tensor(name);
  const auto* values = scales.const_data_ptr<float>();
  for (std::int64_t i = 0; i < scales.numel(); ++i) {
    if (!std::isfinite(values[i]) || values[i] < 0)
      user_error("{}: element {} is {}, expected a number of at least 0", where(checkpoint, name), i, values[i]);
  }
}

}  // namespace

std::vector<std::string> nf4_names(const std::string& weight, bool is_nested) {
  std::vector<std::string> names{weight, weight + ".absmax", weight + ".quant_map", weight + kState};
  if (is_nested) names.insert(names.end(), {weight + ".nested_absmax", weight + ".nested_quant_map"});
  return names;
}

bool is_quantized(const Checkpoint& checkpoint, const TensorSpec& spec) {
  for (const char* part : {".absmax", ".quant_map", ".nested_absmax", kState, kOtherState}) {
    if (checkpoint.contains(spec.name + part)) return true;
  }
  return checkpoint.contains(spec.name) && checkpoint.dtype_of(spec.name) == at::kByte;
}

StoredWeight check_nf4(const Checkpoint& checkpoint, const TensorSpec& spec) {
  const QuantState state = read_state(checkpoint, spec.name);
  if (state.shape != spec.shape) {
    user_error("{}: shape = [{}], config.json asks for [{}]", where(checkpoint, spec.name + kState),
               fmt::join(state.shape, ", "), fmt::join(spec.shape, ", "));
  }
  StoredWeight stored{spec, state.dtype, Nf4Format{state.blocksize, state.nested_blocksize}};
  const std::vector<PartShape> parts = shapes_of_parts(stored);
  check_part(checkpoint, spec.name, parts[0].dtype, parts[0].shape);
  check_part(checkpoint, spec.name + ".absmax", parts[1].dtype, parts[1].shape);
  if (state.nested_blocksize > 0) {
    check_part(checkpoint, spec.name + ".nested_absmax", parts[2].dtype, parts[2].shape);
    check_part(checkpoint, spec.name + ".nested_quant_map", parts[3].dtype, parts[3].shape);
  }
  check_table(checkpoint, spec.name);
  return stored;
}

ops::Nf4Tensor read_nf4(const Checkpoint& checkpoint, const TensorSpec& spec) {
  const QuantState state = read_state(checkpoint, spec.name);
  ops::Nf4Tensor nf4;
  nf4.packed = checkpoint.tensor(spec.name);
  nf4.absmax = checkpoint.tensor(spec.name + ".absmax");
  nf4.blocksize = state.blocksize;
  nf4.shape = state.shape;
  nf4.dtype = state.dtype;
  nf4.quant_map = ops::nf4_map();
  check_scales(checkpoint, spec.name + (state.nested_blocksize > 0 ? ".nested_absmax" : ".absmax"));
  if (state.nested_blocksize > 0) {
    nf4.nested_absmax = checkpoint.tensor(spec.name + ".nested_absmax");
    nf4.nested_map = checkpoint.tensor(spec.name + ".nested_quant_map");
    nf4.nested_offset = state.nested_offset;
    nf4.nested_blocksize = state.nested_blocksize;
  }
  return nf4;
}

namespace {

/// Python's json.dumps: the order of the keys, the blanks, and the shortest text that gives the double back.
std::string quant_state_text(const ops::Nf4Tensor& nf4) {
  std::string text = fmt::format(R"({{"quant_type": "nf4", "blocksize": {}, "dtype": "{}", "shape": [{}])",
                                 nf4.blocksize, dtype_name(nf4.dtype), fmt::join(nf4.shape, ", "));
  if (nf4.is_nested()) {
    text += fmt::format(R"(, "nested_blocksize": {}, "nested_dtype": "float32", "nested_offset": {})",
                        nf4.nested_blocksize, python_float(nf4.nested_offset));
  }
  return text + "}";
}

}  // namespace

std::vector<TensorHead> nf4_heads(const StoredWeight& weight) {
  constexpr std::int64_t kLongestState = 512;
  const std::vector<PartShape> parts = shapes_of_parts(weight);
  const std::string& name = weight.spec.name;
  std::vector<TensorHead> heads{{name, parts[0].dtype, parts[0].shape},
                                {name + ".absmax", parts[1].dtype, parts[1].shape},
                                {name + ".quant_map", at::kFloat, {16}},
                                {name + kState, at::kByte, {kLongestState}, /*may_shrink=*/true}};
  if (weight.nf4->nested_blocksize > 0) {
    heads.push_back({name + ".nested_absmax", parts[2].dtype, parts[2].shape});
    heads.push_back({name + ".nested_quant_map", parts[3].dtype, parts[3].shape});
  }
  return heads;
}

std::vector<NamedTensor> nf4_tensors(const std::string& weight, const ops::Nf4Tensor& nf4) {
  const std::string state = quant_state_text(nf4);
  at::Tensor bytes = at::empty({std::ssize(state)}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), state.data(), state.size());
  std::vector<NamedTensor> tensors{{weight, nf4.packed},
                                   {weight + ".absmax", nf4.absmax},
                                   {weight + ".quant_map", ops::nf4_map()},
                                   {weight + kState, bytes}};
  if (nf4.is_nested()) {
    tensors.push_back({weight + ".nested_absmax", nf4.nested_absmax});
    tensors.push_back({weight + ".nested_quant_map", nf4.nested_map});
  }
  return tensors;
}

}  // namespace allreco::model
