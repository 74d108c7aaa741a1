// Requests as lines: of a file, of standard input, or typed at a terminal. One line in, one answer out, in order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "recommend/line_source.h"
#include "recommend/recommender.h"

namespace allreco::recommend {

struct LineOptions {
  Request defaults;             // what a line does not say
  bool json = false;            // answers as lines of JSON, errors among them; else tables, and errors in the log
  std::size_t batch_size = 32;  // requests that are computed together, where so many are waiting
};

/// How many lines could not be answered, each for a reason that was given.
struct LineCounts {
  std::int64_t num_answered = 0, num_refused = 0;
};

/// Answers until the input ends. A line that cannot be answered gets its error; the next one is answered.
LineCounts answer_lines(Recommender& recommender, const LineInput& input, const LineOptions& options);

/// One request, as typed.
LineCounts answer_text(Recommender& recommender, const std::string& text, const LineOptions& options);

/// At a terminal: asks for histories until the input ends or "quit".
void converse(Recommender& recommender, const LineInput& terminal, const LineOptions& options);

}  // namespace allreco::recommend
