// Which of two tokenizer files of one model directory is read.
#pragma once
#include <filesystem>

namespace allreco::data {

/// `json` if it can be read and gives the ids of `model` for some hundred strings of all kinds; else `model`, with a
/// warning in the log that says what is wrong with the other. UserError when `model` cannot be read either.
std::filesystem::path choose_tokenizer_file(const std::filesystem::path& json, const std::filesystem::path& model);

}  // namespace allreco::data
