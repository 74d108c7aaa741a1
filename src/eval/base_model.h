// Loading the frozen base on all ranks of a run: from mapped files, or from one reader over the network.
#pragma once
#include <string>

#include "core/options.h"
#include "dist/node_shared.h"
#include "dist/session.h"
#include "model/decoder/weights.h"

namespace allreco::eval {

/// Which model, in which dtype, where.
struct BaseModelOptions {
  std::string model_name_or_path;
  std::string dtype = "auto";
  std::string device = "auto";
  bool allow_gpu_sharing = false;
  std::string model_loading = "mmap";
  model::Quantization quantization;  // of a dense base

  core::OptionGroups options() {
    return {{"Model",
             {{"model_name_or_path", model_name_or_path,
               "A Hugging Face model directory, or random:<shape> for a published shape with random weights."},
              {"dtype", dtype, model::compute_dtype_choices(), "The dtype to compute in; auto: the checkpoint's."},
              {"device",
               device,
               {"auto", "cpu", "cuda"},
               "Where to compute; auto: on the GPU where there is one and this program has CUDA."},
              {"allow_gpu_sharing", allow_gpu_sharing,
               "Let several ranks compute on one GPU; slow, for trials. Else two ranks on one GPU are an error."},
              {"model_loading",
               model_loading,
               {"mmap", "broadcast"},
               "mmap: every rank maps the model's files; broadcast: rank 0 alone reads them and each node keeps one "
               "copy in memory, for slow file systems."}}},
            quantization.options()};
  }
};

/// Collective. The device that the options choose for this rank; the ranks have compared their GPUs
/// (dist/gpu_placement.h), and rank 0 has warned of GPUs that nobody uses.
at::Device claim_device(dist::Session& session, const BaseModelOptions& options);

/// Collective. On the device that the options choose for this rank. The same weights, config and fingerprint either
/// way. mmap: every rank maps the model's files itself (model::load_base_model); ranks of a node share them through the
/// page cache. What load_in_4bit quantises is in no file: each node's leader reads and quantises, and its ranks share
/// that. broadcast: rank 0 alone touches the files, and reads each byte once; each node holds one copy, as it is kept,
/// in memory that its ranks share, or, on GPUs, only until it is on the device. For file systems that many readers slow
/// down; a file that is cut meanwhile is an error of all ranks instead of a SIGBUS.
model::BaseModel load_base_model(dist::Session& session, const BaseModelOptions& options);
/// The same on the device that claim_device gave.
model::BaseModel load_base_model(dist::Session& session, const BaseModelOptions& options, at::Device device);

enum class BaseReaders { rank_zero, node_leaders };

/// Collective: one copy of the base on each of the given nodes, in memory that its ranks share. rank_zero: the others
/// get it from rank 0, and only its `model_name_or_path` is read.
model::BaseModel load_shared_base_model(dist::Session& session, const dist::NodeGroups& nodes,
                                        const BaseModelOptions& options, BaseReaders readers);

}  // namespace allreco::eval
