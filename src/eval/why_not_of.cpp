#include <fmt/core.h>

#include "eval/evaluate.h"

namespace allreco::eval {
namespace {

using core::Json;

std::string text_at(const Json& json, const char* pointer) {
  const Json::json_pointer at(pointer);
  return json.contains(at) && json[at].is_string() ? json[at].get<std::string>() : "";
}

}  // namespace

std::string why_not_of(const Json& json, const EvaluatedModel& model) {
  if (text_at(json, "/format") != EvaluationDocument::kFormat ||
      !json.contains("/model/adapter_fingerprint"_json_pointer))
    return "it does not say which adapter it is of (written by an older version, or by another program)";
  if (text_at(json, "/dataset/fingerprint").empty() || text_at(json, "/dataset/split").empty())
    return "it does not say which data it is of";
  const std::string base = text_at(json, "/model/model_fingerprint");
  const std::string storage = text_at(json, "/model/storage");
  const std::string adapter = text_at(json, "/model/adapter_fingerprint");
  if (base != model.base_fingerprint)
    return fmt::format("it is of another base model ({:.12}, this one is {:.12})", base, model.base_fingerprint);
  if (storage != model.base_storage)
    return fmt::format("it is of the base kept as {}, which here is {}", storage, model.base_storage);
  if (adapter.empty() && !model.adapter_fingerprint.empty()) return "it is of the bare base, without an adapter";
  if (adapter != model.adapter_fingerprint)
    return fmt::format("it is of another adapter, or of this one before more training ({:.12}, this one is {})",
                       adapter, model.adapter_fingerprint.empty() ? "none" : model.adapter_fingerprint.substr(0, 12));
  if (json.value("format_version", Json()) != EvaluationDocument::kVersion)
    return fmt::format("it was written by {} version",
                       json.value("format_version", 0.0) < EvaluationDocument::kVersion ? "an older" : "a newer");
  return "";
}

}  // namespace allreco::eval
