#include "engine/pack_model.h"

#include <optional>

#include "base/fail.h"
#include "base/float_mode.h"
#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/gguf.h"
#include "checkpoint/packed_file.h"
#include "engine/auto_quant.h"
#include "engine/calibrate.h"
#include "engine/model_source.h"
#include "engine/runtime.h"
#include "engine/template_sources.h"
#include "engine/weight_plan.h"
#include "nn/arrangement.h"

namespace gale {
namespace {

constexpr int64_t kLarge = int64_t(64) << 20;  // from here on a file may start its tensors on a huge page

// The text side as the source has it, for the readers that read it there.
void write_texts(PackedWriter& writer, const Checkpoint& source) {
  if (const GgufFile* file = source.gguf()) return writer.text("metadata.gguf", file->without_tensors());
  if (const auto text = source.tokenizer_json()) writer.text("tokenizer.json", *text);
  Json templates = Json::array();  // as tokenizer_config.json lists them
  for (const NamedTemplate& t : template_sources(source)) templates.push_back({{"name", t.name}, {"template", t.source}});
  if (!templates.empty()) writer.text("chat_template.json", Json{{"chat_template", templates}}.dump());
}

}  // namespace

ExportReport pack_checkpoint(std::shared_ptr<const Checkpoint> source, const std::string& name, const QuantRecipe& recipe,
                             const std::filesystem::path& output, ThreadPool& pool, const ExportProgress& progress) {
  const StandardFloats mode;  // vectors are read on this thread
  require(source->packed() == nullptr || !recipe.empty(), ErrorCode::invalid_argument,
          "{} is packed already; name a type to quantize it to", source->path().string());
  const Arch& arch = find_architecture(source->architecture());
  PackedInfo info;
  info.model = name;
  info.type = recipe.text();
  for (const auto& file : source->files()) info.sources.push_back(fingerprint(file));
  PackedWriter writer(output, source->sizes().bytes >= kLarge);
  ExportReport report;
  Loader::Options how;
  how.progress = progress;
  how.sink = [&](const Loader::Made& made) {
    if (writer.has(made.name)) return;
    require(!made.ordered, ErrorCode::unsupported,
            "{}: a packed file has no place for the order that the file gives its columns (act-order); name a --type to quantize "
            "it to",
            made.name);
    const PackedMatrix* matrix = made.matrix;
    const std::byte* data = matrix ? matrix->data->data() : reinterpret_cast<const std::byte*>(made.vector->data<float>());
    const int64_t bytes = matrix ? matrix->bytes() : made.vector->bytes();
    const std::string layout = matrix ? matrix->layout.name() : "";
    if (matrix && !info.layouts.contains(layout)) info.layouts[layout] = arrangement_hash(matrix->layout);
    writer.tensor(made.name, made.type, made.shape, layout, {data, size_t(bytes)});
    ++report.tensors;
    report.parameters += made.shape.elements();
    report.bytes += bytes;
  };
  std::optional<WeightPlan> plan;
  std::shared_ptr<const Checkpoint> weights = source;
  QuantRecipe left = recipe;
  if (is_random_model(name)) left.type.clear();  // they come in it
  if (!left.empty()) {
    plan = WeightPlan::of(left, *source);
    weights = calibrate(source, left, *plan, {.pool = pool, .progress = progress});
    requantize(*plan, *source, *weights, how);
  }
  Loader loader(weights, pool, std::move(how));
  arch.build(Config(source->config(), source->config_source()), Weights(loader));
  loader.finish();
  write_texts(writer, *source);
  writer.commit(info, *source);
  report.source_bytes = loader.file_bytes() + source->sizes().bytes - weights->sizes().bytes;
  report.type = recipe.type;
  if (plan) report.note = plan->message();
  return report;
}

ExportReport pack_model(const std::string& source, const QuantRecipe& recipe, const std::filesystem::path& output, int threads,
                        const ExportProgress& progress) {
  const QuantRecipe read = recipe.read();
  ThreadPool pool(choose_threads(threads));
  if (is_random_model(source)) resolve_auto(recipe, source, nullptr);  // refused before weights are made
  const auto checkpoint = open_model(source, recipe.type, pool);
  recipe.check_output(*checkpoint, output);
  return pack_checkpoint(checkpoint, source, resolve_auto(read, source, checkpoint), output, pool, progress);
}

}  // namespace gale
