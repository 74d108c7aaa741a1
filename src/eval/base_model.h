// Loading the frozen base on all ranks of a run: from mapped files, or from one reader over the network.
#pragma once
#include <c10/core/Device.h>

#include <string>

#include "dist/node_shared.h"
#include "dist/session.h"
#include "model/decoder/weights.h"

namespace allreco::eval {

struct BaseModelRequest {
  std::string model_name_or_path;  // a Hugging Face directory, or random:<shape>
  std::string dtype = "auto";      // auto, float32 or bfloat16
  c10::Device device{c10::DeviceType::CPU};
  std::string model_loading = "mmap";  // mmap or broadcast
  model::Quantization quantization;
};

/// Collective. The same weights, config and fingerprint either way.
/// mmap: every rank maps the model's files itself (model::load_base_model); ranks of a node share them through the page
/// cache. What load_in_4bit quantises is in no file: each node's leader reads and quantises, and its ranks share that.
/// broadcast: rank 0 alone touches the files, and reads each byte once; each node holds one copy, as it is kept, in
/// memory that its ranks share, or, on GPUs, only until it is on the device. For file systems that many readers slow
/// down; a file that is cut meanwhile is an error of all ranks instead of a SIGBUS.
model::BaseModel load_base_model(dist::Session& session, const BaseModelRequest& request);

enum class BaseReaders { rank_zero, node_leaders };

/// Collective: one copy of the base on each of the given nodes, in memory that its ranks share. rank_zero: the others
/// get it from rank 0, and only its `model_name_or_path` is read.
model::BaseModel share_base_model(dist::Session& session, const dist::NodeGroups& nodes,
                                  const BaseModelRequest& request, BaseReaders readers);

}  // namespace allreco::eval
