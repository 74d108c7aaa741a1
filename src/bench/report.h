// What `bench` prints and writes.
#pragma once
#include <string>

#include "bench/collectives.h"
#include "bench/training_bench.h"

namespace allreco::bench {

core::Json to_json(const TrainingResult& result);
core::Json to_json(const CollectivesResult& result);

std::string text_of(const TrainingResult& result);
std::string text_of(const CollectivesResult& result);

}  // namespace allreco::bench
