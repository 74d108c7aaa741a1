// quantize: a dense Hugging Face checkpoint in, the same in NF4 out.
#include "model/convert/quantize.h"

#include "cli/bindings.h"
#include "cli/commands.h"
#include "core/check.h"
#include "core/log.h"

namespace allreco::cli {

int quantize_command(dist::Session& session, const Arguments& arguments) {
  model::QuantizeJob job;
  job.quantization.bnb_4bit_use_double_quant = true;
  RuntimeOptions runtime;
  OptionList list(
      "allreco quantize",
      "Writes a dense Hugging Face model again with its projections in NF4, as transformers with bitsandbytes "
      "saves and loads it. One process; needs memory for one tensor.",
      {job.options(), runtime.options()});
  if (!parse_or_help(list, arguments, session)) return kExitDone;
  apply(runtime, session);
  require_option("model_name_or_path", job.model_name_or_path);
  require_option("output_dir", job.output_dir);
  require_one_rank(session, "quantize");
  const model::QuantizeReport report = model::quantize(job);
  core::log_info("{}: {} projections in NF4, {:.3f} GB instead of {:.3f} GB; quantised in {:.2f} s", job.output_dir,
                 report.num_quantized, 1e-9 * static_cast<double>(report.written_bytes),
                 1e-9 * static_cast<double>(report.dense_bytes), report.quantize_seconds);
  return kExitDone;
}

}  // namespace allreco::cli
