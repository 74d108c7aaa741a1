// What files of one JSON object a line have in common.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/json.h"
#include "data/input/line_counts.h"

namespace allreco::data {

/// UserError for a file of another form, told by its first line that is not blank: its lines would only be malformed.
void require_json_lines(std::string_view first_line, const std::filesystem::path& path);

bool is_blank_line(std::string_view line);

/// LineCounts::check_share when all lines so far, 1000 or more, were malformed: a file of another kind is not read on.
void give_up_hopeless(const LineCounts& counts, const std::filesystem::path& path, double max_bad_share);

/// "" and the object, or why the line holds none.
std::string parse_object(std::string_view line, core::Json& object);

}  // namespace allreco::data
