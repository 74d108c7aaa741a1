// Whole preparations on several ranks, which are threads.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "core/files.h"
#include "data/prepare/prepare_sources.h"
#include "data/prepare/thread_ranks.h"

namespace allreco::data {

/// prepare(), but with any limit: the command's smallest one holds all rows of a test.
inline void prepare_on(int size, std::uint64_t limit, const PrepareConfig& config) {
  on_thread_ranks(size, [&](PrepareRanks& ranks) {
    std::optional<Tokenizer> tokenizer;
    if (!config.tokenizer.empty()) tokenizer.emplace(config.tokenizer);
    const ShardIdentity identity{tokenizer ? tokenizer->sha256() : "",
                                 tokenizer ? tokenizer->vocab_size() : config.vocab_size};
    std::optional<DatasetWriter> writer;
    if (ranks.is_leader()) {
      DatasetWriterOptions options;
      options.directory = config.output_dir;
      options.tokenizer_sha256 = identity.tokenizer_sha256;
      options.vocab_size = identity.vocab_size;
      writer.emplace(std::move(options));
    }
    const std::string staging = ranks.all_gather(writer ? writer->staging().string() : "")[0];
    PrepareProgress progress(false);
    const PrepareContext context{ranks, 2, {limit, staging}, progress};
    const DatasetPlace place{staging, identity, writer ? &*writer : nullptr};
    const Prepared prepared = !config.tokens.empty()    ? prepare_tokens(config, identity.vocab_size, context, place)
                              : !config.prompts.empty() ? prepare_prompts(config, *tokenizer, context, place)
                                                        : prepare_reviews(config, *tokenizer, context, place);
    if (writer) writer->finish({}, prepared.description);
  });
}

/// Of all files of a directory.
inline std::map<std::string, std::string> digests(const std::filesystem::path& directory) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    all[entry.path().filename().string()] = core::sha256_of_file(entry.path());
  return all;
}

}  // namespace allreco::data
