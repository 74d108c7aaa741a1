// train_sequences.jsonl: what each shopper bought in the train part of a dataset, whether or not an example shows it.
#pragma once
#include <filesystem>

#include "data/prepare/examples/split_plan.h"
#include "data/prepare/prepare_context.h"
#include "data/prepare/shoppers/shopper_store.h"
#include "data/store/dataset_writer.h"

namespace allreco::data {

/// Collective. Each rank writes its shoppers into a file of `staging`, and `writer`, which the leader alone has (else
/// null), gets them all, one rank's behind another's. Nothing where the split has no train part.
void write_train_sequences(const PrepareContext& context, const std::filesystem::path& staging, const SplitPlan& plan,
                           const ShopperStore& store, DatasetWriter* writer);

}  // namespace allreco::data
