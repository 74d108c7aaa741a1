#include <fmt/core.h>

#include "eval/evaluate.h"

namespace allreco::eval {
namespace {

using core::Json;

std::string text_at(const Json& document, const char* pointer) {
  const Json::json_pointer at(pointer);
  return document.contains(at) && document[at].is_string() ? document[at].get<std::string>() : "";
}

}  // namespace

std::string why_not_of(const Json& document, const EvaluatedModel& model) {
  if (text_at(document, "/format") != "allreco-evaluation" ||
      !document.contains("/model/adapter_fingerprint"_json_pointer))
    return "it does not say which adapter it is of (written by an older version, or by another program)";
  if (text_at(document, "/dataset/fingerprint").empty() || text_at(document, "/dataset/split").empty())
    return "it does not say which data it is of";
  const std::string base = text_at(document, "/model/model_fingerprint");
  const std::string storage = text_at(document, "/model/storage");
  const std::string adapter = text_at(document, "/model/adapter_fingerprint");
  if (base != model.base_fingerprint)
    return fmt::format("it is of another base model ({:.12}, this one is {:.12})", base, model.base_fingerprint);
  if (storage != model.base_storage)
    return fmt::format("it is of the base kept as {}, which here is {}", storage, model.base_storage);
  if (adapter == model.adapter_fingerprint) return "";
  if (adapter.empty()) return "it is of the bare base, without an adapter";
  return fmt::format("it is of another adapter, or of this one before more training ({:.12}, this one is {})", adapter,
                     model.adapter_fingerprint.empty() ? "none" : model.adapter_fingerprint.substr(0, 12));
}

}  // namespace allreco::eval
