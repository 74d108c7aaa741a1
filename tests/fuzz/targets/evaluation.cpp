// Two evaluations, as `compare` reads them: what is read as a document is written as one again.
#include "core/json_fields.h"
#include "eval/compare.h"
#include "eval/document.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void evaluation(Input input) {
  const auto pieces = split(input, 2);
  const Directory directory;
  const auto path = directory.write("evaluation.json", pieces[0]);
  directory.write("predictions.jsonl", pieces[1]);
  const auto document = eval::read_evaluation(path);
  core::from_json<eval::EvaluationDocument>(core::json_of(document), "again");
  eval::accuracy_table(document);
  eval::comparison_table(eval::compare(path.parent_path(), path.parent_path(), {1000, 1}));
}

}  // namespace allreco::fuzz
