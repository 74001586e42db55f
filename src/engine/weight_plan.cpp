#include "engine/weight_plan.h"

#include <charconv>

#include "base/fail.h"
#include "base/json.h"
#include "checkpoint/hf_experts.h"
#include "engine/importance.h"
#include "engine/model_source.h"
#include "quant/arranged.h"

namespace gale {
namespace {

bool is_routed_expert(std::string_view name) { return name.find(".experts.") != name.npos; }

bool is_plain_floats(const Format& format) {
  return format.stored == TensorType::f32 ? format.name == "f32" : format.name == "f16" || format.name == "bf16";
}

void add_line(std::string& text, const std::string& line) {
  if (!line.empty()) text += (text.empty() ? "" : "\n") + line;
}

std::shared_ptr<const QuantFiles> read_files(const QuantRecipe& recipe) {
  QuantFiles out;
  if (!recipe.topology.empty()) out.topology = Topology::text_of(recipe.topology);
  if (!recipe.imatrix.empty()) out.importance = read_imatrix(recipe.imatrix);
  return std::make_shared<const QuantFiles>(std::move(out));
}

// Of a matrix like that one in this format.
std::string layout_name(const Format& format, const RawTensor& like) {
  RawTensor blank;
  blank.type = format.stored;
  blank.shape = {like.rows(), like.columns()};
  TensorGroup group;
  group.parts = {{"weight", &blank}};
  return format.layout(group).name();
}

}  // namespace

int layer_number(std::string_view name) {
  constexpr std::string_view kBefore = "layers.";
  const size_t at = name.find(kBefore);
  if (at == name.npos) return -1;
  int layer = -1;
  std::from_chars(name.data() + at + kBefore.size(), name.data() + name.size(), layer);
  return layer;
}

QuantRecipe QuantRecipe::of(const EngineOptions& options) {
  QuantRecipe out;
  if (!is_random_model(options.model)) out.type = options.quant;
  out.topology = options.topology;
  out.imatrix = options.imatrix;
  out.calibrate = options.calibrate;
  out.experts_only = options.quant_experts;
  return out;
}

QuantRecipe QuantRecipe::read() const {
  require(imatrix.empty() || !empty(), ErrorCode::invalid_argument,
          "an importance matrix ({}) weighs the errors of quantizing, but nothing is quantized; name a type", imatrix);
  require(calibrate.empty() || !empty(), ErrorCode::invalid_argument,
          "a text ({}) is to calibrate quantizing, but nothing is quantized; name a type, such as gptq4", calibrate);
  std::error_code error;
  require(calibrate.empty() || std::filesystem::is_regular_file(calibrate, error), ErrorCode::not_found,
          "{}, the text to calibrate by, is not there or no file", calibrate);
  require(!experts_only || !type.empty(), ErrorCode::invalid_argument,
          "only experts are to be quantized, but no type is named for them");
  QuantRecipe out = *this;
  if (!files) out.files = read_files(*this);
  QuantRecipe named = out;
  if (type == kAuto) named.type.clear();
  WeightPlan(named, 0, false);
  return out;
}

void QuantRecipe::check_output(const Checkpoint& source, const std::filesystem::path& output) const {
  std::error_code error;
  require(!std::filesystem::is_directory(output, error), ErrorCode::invalid_argument, "{} is a folder; name a file in it",
          output.string());
  std::vector<std::filesystem::path> inputs = source.files();
  inputs.insert(inputs.end(), {source.path(), topology, imatrix, calibrate});
  for (const auto& input : inputs)
    require(!std::filesystem::equivalent(input, output, error), ErrorCode::invalid_argument,
            "{} is read for this; choose another output", output.string());
}

std::string QuantRecipe::text() const {
  std::string out = type;
  if (experts_only) out += " for experts";
  for (const auto& [what, file] :
       {std::pair("pins of ", &topology), std::pair("weighed by ", &imatrix), std::pair("calibrated by ", &calibrate)})
    if (!file->empty()) out += (out.empty() ? "" : ", ") + std::string(what) + std::filesystem::path(*file).filename().string();
  return out;
}

WeightPlan::WeightPlan(const QuantRecipe& recipe, int64_t layers, bool tied_head)
    : layers_(int(layers)), tied_head_(tied_head), experts_only_(recipe.experts_only) {
  if (!recipe.type.empty()) policy_ = QuantPolicy::named(recipe.type);
  const auto files = recipe.files ? recipe.files : read_files(recipe);
  if (!recipe.topology.empty())
    topology_ = Topology::parse(files->topology, std::filesystem::path(recipe.topology).filename().string());
  if (!recipe.imatrix.empty())
    importance_ = std::make_unique<Importance>(std::shared_ptr<const ImportanceMatrix>(files, &files->importance));
}
WeightPlan::WeightPlan(WeightPlan&&) noexcept = default;
WeightPlan& WeightPlan::operator=(WeightPlan&&) noexcept = default;
WeightPlan::~WeightPlan() = default;

WeightPlan WeightPlan::of(const QuantRecipe& recipe, const Checkpoint& checkpoint) {
  int layers = 0;
  for (const RawTensor& tensor : checkpoint.tensors()) layers = std::max(layers, layer_number(tensor.name) + 1);
  return WeightPlan(recipe, layers, checkpoint.find("lm_head.weight") == nullptr);
}

const QuantPolicy& WeightPlan::pinned(std::string_view type) {
  const auto found = pinned_.find(type);
  return found != pinned_.end() ? found->second : pinned_.emplace(type, QuantPolicy::named(type)).first->second;
}

QuantPolicy::Tensor WeightPlan::tensor(std::string_view name, int64_t rows, int64_t columns) const {
  return {
      .name = name, .rows = rows, .columns = columns, .layer = layer_number(name), .layers = layers_, .tied_head = tied_head_};
}

QuantPolicy::Choice WeightPlan::chosen(std::string_view name, int64_t rows, int64_t columns) {
  const QuantPolicy::Tensor t = tensor(name, rows, columns);
  const auto one = expert_name(name);  // experts of a layer are pinned together: they share a layout
  const bool open = topology_ && !QuantPolicy::stays_f32(t);
  if (const std::string_view type = open ? topology_->type_of(one ? one->fused : name, t.layer) : ""; !type.empty())
    return pinned(type).pin(t);
  return policy_ && (is_routed_expert(name) || !experts_only_) ? policy_->choose(t) : QuantPolicy::Choice{.format = nullptr};
}

const Format* WeightPlan::choose(std::string_view name, int64_t rows, int64_t columns) {
  met_experts_ |= is_routed_expert(name);
  const QuantPolicy::Choice choice = chosen(name, rows, columns);
  if (choice.format != nullptr) fallbacks_.add(tensor(name, rows, columns), choice);
  return choice.format;
}

std::vector<float> WeightPlan::importance(std::string_view name, int64_t expert, int64_t columns, const Format& target) {
  if (!importance_ || is_plain_floats(target)) return {};
  if (!target.weighs) {
    unweighted_.insert(target.name);
    return {};
  }
  std::vector<float> out = importance_->of(name, expert, columns);
  const bool looked_up = name.ends_with("embed_tokens");  // nothing is multiplied with an embedding
  if (!out.empty())
    ++known_;
  else if (!looked_up && unknown_count_++ == 0)
    unknown_ = expert < 0 ? std::string(name) : fmt::format("{}, expert {}", name, expert);
  return out;
}

void WeightPlan::requantizes(const TensorGroup& from, const Format& to) {
  const bool arranged = is_arranged(from);
  const Format& format = format_of(from);
  const bool plain = arranged ? format.layout(from).kind == Layout::Kind::dense : is_plain_floats(format);
  if (plain || is_plain_floats(to)) return;
  const RawTensor* whole = arranged ? from.part("weight") : nullptr;
  if (twice_++ == 0)
    first_twice_ =
        fmt::format("{} is {} and becomes {}", from.name, whole ? tensor_type_info(whole->type).name : format.name, to.name);
}

void WeightPlan::note(const std::string& line) { add_line(notes_, line); }

std::string WeightPlan::message() const {
  std::string out = fallbacks_.message();
  if (twice_ > 0)
    add_line(out, fmt::format("{}{}: what was rounded once is rounded again and loses twice; quantize from the original where "
                              "there is one",
                              first_twice_, twice_ > 1 ? fmt::format(" (and {} more like it)", twice_ - 1) : ""));
  if (experts_only_ && !met_experts_) add_line(out, "the model has no experts: nothing was quantized but what a topology pins");
  if (topology_)
    if (const std::string unused = topology_->unused(); !unused.empty())
      add_line(out, fmt::format("{}: no weight gets its type from {} (routers and norms stay f32, experts are pinned together)",
                                topology_->source(), unused));
  if (!unweighted_.empty())
    add_line(out, fmt::format("{} makes no use of an importance matrix: made without", fmt::join(unweighted_, ", ")));
  add_line(out, notes_);
  if (unknown_count_ > 0)
    add_line(out, fmt::format("{} says nothing of {}{}: made without{}", importance_->source(), unknown_,
                              unknown_count_ > 1 ? fmt::format(" and {} more", unknown_count_ - 1) : "",
                              known_ == 0 ? "; is it of this model?" : ""));
  return out;
}

void requantize(WeightPlan& plan, const Checkpoint& source, const Checkpoint& checkpoint, Loader::Options& options) {
  options.requantize = [&](std::string_view name, int64_t rows, int64_t columns) -> const Format* {
    const std::string full = std::string(name) + ".weight";
    const auto has = [&](const Checkpoint& in, const Format& format) {
      const RawTensor* raw = in.find(full);
      return raw != nullptr && raw->type == format.stored && (raw->layout.empty() || raw->layout == layout_name(format, *raw));
    };
    const Format* format = plan.choose(full, rows, columns);
    if (format == nullptr || has(source, *format)) return nullptr;
    if (const TensorGroup from = group_of(source, name); !from.parts.empty()) plan.requantizes(from, *format);
    return has(checkpoint, *format) ? nullptr : format;
  };
  options.importance = [&](std::string_view name, int64_t expert, int64_t columns, const Format& target) {
    return plan.importance(name, expert, columns, target);
  };
}

}  // namespace gale
