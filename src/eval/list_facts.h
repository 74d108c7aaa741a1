// What the reader of an accuracy among candidates must know about the lists.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "data/store/dataset.h"
#include "eval/document.h"
#include "eval/eval_example.h"

namespace allreco::eval {

/// REQUIRES an example with candidates.
ListFacts list_facts(std::span<const EvalExample> examples, const std::vector<data::Item>& catalogue);

/// A position that is right far more often than the others, equal titles, answers that differ from titles, lists that
/// were left out.
void warn_of_lists(const ListFacts& facts, std::vector<std::string>& warnings);

}  // namespace allreco::eval
