// tokenizer.json with the BOS and EOS that the files beside it name.
#include <array>
#include <system_error>

#include "core/check.h"
#include "core/json.h"
#include "data/tokenizer/json_tokenizer.h"
#include "data/tokenizer/tokenizer_backend.h"

namespace allreco::data {
namespace fs = std::filesystem;
using core::Json;

namespace {

/// A file beside the tokenizer.json; null where there is none.
Json read_beside(const fs::path& path, const char* name) {
  const fs::path file = path.parent_path() / name;
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  Json document = core::read_json_file(file);
  if (!document.is_object()) core::user_error("{}: a JSON object is needed", file.string());
  return document;
}

/// "bos_token": "<s>" or {"content": "<s>", ...}.
std::optional<std::string> token_text(const Json& document, const char* key) {
  const auto found = document.find(key);
  if (found == document.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && found->at("content").is_string())
    return found->at("content").get<std::string>();
  return std::nullopt;
}

/// "eos_token_id": 2 or [1, 106]; the first one. -1: none.
TokenId token_id(const Json& document, const char* key, const fs::path& path, std::int64_t size) {
  const auto found = document.find(key);
  if (found == document.end()) return -1;
  const Json& id = found->is_array() && !found->empty() ? found->front() : *found;
  if (!id.is_number_integer()) return -1;
  const auto value = id.get<std::int64_t>();
  if (value < 0 || value >= size) {
    core::user_error("{}: a file beside it has {} = {}, which is not among its {} tokens", path.string(), key, value,
                     size);
  }
  return static_cast<TokenId>(value);
}

class JsonBackend : public TokenizerBackend {
 public:
  JsonBackend(const std::string& bytes, const fs::path& path) : tokenizer_(bytes, path.string()) {
    const Json config = read_beside(path, "tokenizer_config.json");
    const Json map = read_beside(path, "special_tokens_map.json");
    bos_id_ = find_bos(config, map, path);
    eos_id_ = find_eos(config, map, path);
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    return tokenizer_.encode(text, {.add_special_tokens = false, .special_tokens_as_text = true});
  }
  std::vector<TokenId> encode_continued(std::string_view text) const override {
    return tokenizer_.encode(text, {.add_special_tokens = false, .special_tokens_as_text = true, .is_continued = true});
  }
  std::vector<TokenId> encode_with_special_tokens(std::string_view text) const override {
    return tokenizer_.encode(text, {.add_special_tokens = false, .special_tokens_as_text = false});
  }
  std::string decode(const std::vector<TokenId>& ids) const override { return tokenizer_.decode(ids, true); }
  std::optional<TokenId> control_token(std::string_view text) const override {
    const AddedToken* token = tokenizer_.added_tokens().of_text(text);
    return token && token->special ? std::optional<TokenId>(token->id) : std::nullopt;
  }
  TokenId bos_id() const override { return bos_id_; }
  TokenId eos_id() const override { return eos_id_; }
  std::int64_t vocab_size() const override { return tokenizer_.size(); }

 private:
  /// The token that these two files name under `key`; -1: none.
  TokenId named(const Json& config, const Json& map, const char* key, const fs::path& path) const {
    for (const Json* document : {&config, &map}) {
      const auto text = token_text(*document, key);
      if (!text) continue;
      const auto id = tokenizer_.id_of(*text);
      if (!id)
        core::user_error("{}: a file beside it names the {} \"{}\", which it does not have", path.string(), key, *text);
      return *id;
    }
    return -1;
  }

  /// tokenizer_config.json's add_bos_token decides where it is stated, else the post-processor.
  TokenId find_bos(const Json& config, const Json& map, const fs::path& path) const {
    const std::vector<TokenId>& before = tokenizer_.surroundings().before;
    const auto stated = config.find("add_bos_token");
    const bool is_stated = stated != config.end() && stated->is_boolean();
    if (is_stated ? !stated->get<bool>() : before.empty()) return -1;
    if (before.size() > 1)
      core::user_error("{}: post_processor puts {} tokens before a text; one is supported", path.string(),
                       before.size());
    return before.empty() ? named(config, map, "bos_token", path) : before.front();
  }

  /// eos_token of tokenizer_config.json, then of special_tokens_map.json; eos_token_id of generation_config.json, then
  /// of config.json; what the post-processor ends a text with; a control token of the usual name.
  TokenId find_eos(const Json& config, const Json& map, const fs::path& path) const {
    if (const TokenId id = named(config, map, "eos_token", path); id >= 0) return id;
    for (const char* file : {"generation_config.json", "config.json"}) {
      if (const TokenId id = token_id(read_beside(path, file), "eos_token_id", path, tokenizer_.size()); id >= 0)
        return id;
    }
    if (!tokenizer_.surroundings().after.empty()) return tokenizer_.surroundings().after.back();
    for (const char* name : {"</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>"}) {
      if (const auto id = control_token(name)) return *id;
    }
    return -1;
  }

  JsonTokenizer tokenizer_;
  TokenId bos_id_ = -1, eos_id_ = -1;
};

}  // namespace

std::unique_ptr<TokenizerBackend> make_json_backend(const std::string& bytes, const fs::path& path) {
  return std::make_unique<JsonBackend>(bytes, path);
}

}  // namespace allreco::data
