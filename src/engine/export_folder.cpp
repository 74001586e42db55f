#include "engine/export_folder.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/checked.h"
#include "base/fail.h"
#include "base/first_error.h"
#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/folder_writer.h"
#include "checkpoint/hf_experts.h"
#include "engine/auto_quant.h"
#include "engine/calibrate.h"
#include "engine/folder_texts.h"
#include "engine/made_matrix.h"
#include "engine/model_source.h"
#include "engine/runtime.h"
#include "engine/weight_plan.h"
#include "models/model.h"
#include "nn/arrangement.h"
#include "quant/check_method.h"
#include "quant/file_parts.h"

namespace gale {
namespace {

constexpr int64_t kChunkRows = 4096;  // of plain floats, made at a time
constexpr std::string_view kMlx = "afq";
constexpr int kHeadBits = 6;

// A matrix or vector as the folder will have it. Experts are one each.
struct Module {
  std::string name;       // logical, without ".weight" where it is a matrix
  std::string published;  // what the folder calls it; MLX has one for all experts
  TensorGroup group;
  const Format* from;
  Shape shape;                 // [n] or [rows, columns]
  int64_t row = 0;             // where it begins in its tensor
  int64_t expert = -1;         // of that tensor, where it holds all
  const Format* to = nullptr;  // with a form in files; nullptr: plain floats
  TensorType plain = TensorType::bf16;
  int64_t stacked = 0, place = 0;  // MLX's experts: how many are one tensor, and which this is
  int64_t source_bytes = 0;

  bool vector() const { return shape.rank() < 2; }
};

bool is_plain(TensorType type) { return type == TensorType::f32 || type == TensorType::f16 || type == TensorType::bf16; }

// The type in which plain floats of it stay what they are.
TensorType plain_type(const TensorGroup& group, bool vector) {
  const RawTensor* weight = group.part("weight");
  const bool alone = group.parts.size() == 1 && weight != nullptr;
  if (alone && is_plain(weight->type)) return weight->type;
  return vector ? TensorType::f32 : TensorType::bf16;
}

// REQUIRES: f32.
bool is_exact_in_bf16(const RawTensor& tensor) {
  for (size_t at = 0; at + sizeof(uint32_t) <= tensor.bytes.size(); at += sizeof(uint32_t)) {
    uint32_t bits = 0;
    std::memcpy(&bits, tensor.bytes.data() + at, sizeof bits);
    if ((bits & 0xffff) != 0) return false;
  }
  return true;
}

const Format* format_named(TensorType type) { return &find_format(tensor_type_info(type).name); }

[[noreturn]] void no_form(const Format& format) {
  require(tensor_type_info(format.stored).ggml < 0, ErrorCode::unsupported,
          "{} is a type of GGUF, which the folders of other libraries have no form for; name the output *.gguf, or *.gale with "
          "--packed",
          format.name);
  fail(ErrorCode::unsupported,
       "files of other engines have no form for {}: write it packed (--packed -o NAME.gale), or take what comes nearest, int8 "
       "to a folder or q8_0 as a GGUF",
       format.name);
}

// Of the type that everything is to become: the format whose files it goes into, "" for plain floats.
std::string_view form_of(const QuantRecipe& recipe) {
  require(!recipe.type.empty(), ErrorCode::invalid_argument,
          "a folder needs a type that its files have a form for, such as nf4, gptq4, afq4, hqq4, fp8 or bf16");
  const QuantPolicy policy = QuantPolicy::named(recipe.type);
  for (const Format* format : formats())
    if (format->name == policy.name()) {
      if (format->file_form.empty() && !is_plain(format->stored)) no_form(*format);
      return format->file_form;
    }
  fail(ErrorCode::unsupported,
       "{} is a mix of types of GGUF, which the folders of other libraries have no form for; name the "
       "output *.gguf, or *.gale with --packed",
       policy.name());
}

class FolderExporter {
 public:
  FolderExporter(std::shared_ptr<const Checkpoint> source, const QuantRecipe& recipe, const std::filesystem::path& output,
                 ThreadPool& pool, const ExportProgress& progress)
      : source_(std::move(source)),
        recipe_(recipe),
        form_(form_of(recipe)),
        base_(&find_format(QuantPolicy::named(recipe.type).name())),
        writer_(output),
        texts_(*source_),
        plan_(WeightPlan::of(recipe, *source_)),
        pool_(pool),
        progress_(progress) {}

  ExportReport run() {
    weights_ = calibrate(source_, recipe_, plan_, {.pool = pool_, .progress = progress_});
    find_modules();
    if (!form_.empty()) others_.push_back({"lm_head", nullptr});  // a module where the weight is the embedding's too
    for (Module& module : modules_) choose(module);
    narrow_vectors();
    require(form_.empty() || made_ > 0, ErrorCode::unsupported, "{}: none of its matrices can be {} in the form of a folder, {}",
            source_->path().string(), base_->name, left_.empty() ? "it has none" : left_);
    if (form_ == kMlx) stack_experts();
    for (const Module& module : modules_) declare(module);
    writer_.metadata = form_ == kMlx ? "mlx" : "pt";
    report_.bytes = writer_.declared_bytes();
    report_.source_bytes = source_->sizes().bytes;
    for (const Module& module : modules_) {
      module.to != nullptr ? write_made(module) : write_plain(module);
      done_ += module.source_bytes;
      if (progress_) progress_(done_, total_);
    }
    texts_.write(writer_, config());
    writer_.commit();
    report_.type = plan_.type();
    report_.note = plan_.message();
    return report_;
  }

 private:
  std::string published(const std::string& name) const {
    if (lower(source_->architecture()) != "mixtralforcausallm") return name;
    std::string out = published_expert_name(name);
    if (const size_t at = out.find(".mlp.gate"); at != out.npos) out.replace(at, 5, ".block_sparse_moe.");
    return out;
  }
  static std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return text;
  }

  // What lies beside a weight is part of it: only a format that understands all of it may read it.
  TensorGroup group_with(const RawTensor& tensor) const {
    constexpr std::string_view kWeight = ".weight";
    if (tensor.name.ends_with(kWeight))
      return group_of(*weights_, std::string_view(tensor.name).substr(0, tensor.name.size() - kWeight.size()));
    return group_around(*weights_, tensor);
  }

  void find_modules() {
    std::set<std::string> seen;
    for (const RawTensor& tensor : weights_->tensors()) {
      if (tensor.name.ends_with("rotary_emb.inv_freq") || tensor.name == "rope_freqs.weight") continue;
      TensorGroup group = group_with(tensor);
      if (!seen.insert(group.name).second) continue;
      const Format& from = format_of(group);
      const RawTensor* whole = group.part("weight");
      const auto [rows, columns] = from.shape(group);
      int64_t bytes = 0;
      for (const auto& [suffix, part] : group.parts) bytes += part->own_bytes();
      total_ += bytes;
      if (whole != nullptr && whole->shape.rank() < 2) {
        add({.name = tensor.name, .published = {}, .group = group, .from = &from, .shape = {columns * rows}}, bytes);
        continue;
      }
      const int64_t experts = whole != nullptr && whole->shape.rank() == 3 ? whole->shape[0] : 0;
      for (int64_t e = 0; e < std::max<int64_t>(experts, 1); ++e) {
        Module module{.name = group.name,
                      .published = {},
                      .group = group,
                      .from = &from,
                      .shape = {rows / std::max<int64_t>(experts, 1), columns}};
        if (experts > 0) {
          const size_t dot = group.name.rfind('.');
          module.name = fmt::format("{}.{}{}", group.name.substr(0, dot), e, group.name.substr(dot));
          module.row = e * rows / experts, module.expert = e;
        }
        add(std::move(module), bytes / std::max<int64_t>(experts, 1));
      }
    }
  }
  void add(Module module, int64_t bytes) {
    module.published = published(module.name);
    module.source_bytes = bytes;
    report_.parameters += module.shape.elements();
    modules_.push_back(std::move(module));
  }

  void choose(Module& module) {
    module.plain = plain_type(module.group, module.vector());
    if (module.vector()) return;
    const std::string tensor = module.name + ".weight";
    const int64_t rows = module.shape[0], columns = module.shape[1];
    const Format* wanted = plan_.choice(tensor, rows, columns);
    if (wanted == nullptr) return note_kept(module);
    if (wanted == base_ && is_plain(wanted->stored)) return void(module.plain = wanted->stored);
    if (QuantPolicy::stays_f32({.name = tensor, .rows = rows, .columns = columns})) {
      module.plain = TensorType::f32;  // as in memory and packed
      return leave(module);
    }
    const bool embedding = module.name.ends_with("embed_tokens"), head = module.name == "lm_head";
    if (form_ == kMlx && (head || embedding))
      wanted = mlx_bits(head || source_->find("lm_head.weight") == nullptr);
    else if (head)
      return leave(module);
    else if (embedding)
      return;  // what lists of plain modules have no place for
    if (form_.empty() || wanted->file_form != form_ || columns % wanted->columns_multiple != 0)
      return note_left(module, fmt::format("a folder of {} has no form for {}", base_->name, wanted->name));
    const MadeMatrix sizes{*wanted, rows, columns, made_layout(*wanted, rows, columns), nullptr};
    if (find_format(form_).encode(sizes).empty())
      return note_left(module, fmt::format("its form has no place for {} outputs", rows));
    module.to = wanted;
    ++made_;
  }

  // GGUF has them as f32 whatever they were. Other libraries want one type of all that is plain.
  void narrow_vectors() {
    const bool bf16 = std::ranges::any_of(modules_, [](const Module& m) {
      return m.name.ends_with("embed_tokens") && m.to == nullptr && m.plain == TensorType::bf16;
    });
    if (!bf16 || form_.empty()) return;
    for (Module& module : modules_)
      if (module.vector() && module.plain == TensorType::f32 && is_exact_in_bf16(*module.group.part("weight")))
        module.plain = TensorType::bf16;
  }

  // Libraries of MLX quantize these too, and the head decides on every token.
  const Format* mlx_bits(bool head) const { return head && base_->file_bits < kHeadBits ? &find_format("afq6") : base_; }
  void leave(const Module& module) {
    if (!form_.empty()) others_.push_back({module.published, nullptr});
  }
  void note_kept(const Module& module) {
    if (is_plain(module.from->stored) && module.group.parts.size() == 1) return leave(module);
    note_left(module, "files of a folder have one form of quantized weights");
  }
  void note_left(const Module& module, std::string_view why) {
    leave(module);
    if (left_.empty()) plan_.note(left_ = fmt::format("{} stays {}: {}", module.name, tensor_type_info(module.plain).name, why));
  }

  // "switch_mlp", one tensor for all experts of a kind.
  void stack_experts() {
    std::map<std::string, std::vector<Module*>> kinds;
    for (Module& module : modules_)
      if (const auto expert = expert_name(module.name + "."); expert && module.to != nullptr) {
        std::string all = expert->fused.substr(0, expert->fused.size() - 1);
        const std::string layer = published(module.name);
        const std::string_view mlp = layer.find(".block_sparse_moe.") != layer.npos ? ".block_sparse_moe." : ".mlp.";
        all.replace(all.find(".mlp.experts."), 13, std::string(mlp) + "switch_mlp.");
        module.published = all, module.place = expert->expert;
        kinds[all].push_back(&module);
      }
    for (auto& [name, all] : kinds)
      for (Module* module : all) module->stacked = int64_t(all.size());
  }

  static std::vector<FilePart> encoded(const Module& module, const LogicalGroups* groups) {
    const Layout layout = made_layout(*module.to, module.shape[0], module.shape[1]);
    return find_format(module.to->file_form).encode({*module.to, module.shape[0], module.shape[1], layout, groups});
  }

  void declare(const Module& module) {
    if (module.to == nullptr) {
      ++report_.tensors;
      return writer_.declare(module.vector() ? module.published : module.published + ".weight", module.plain, module.shape);
    }
    if (module.to != base_ && module.place == 0) others_.push_back({module.published, module.to});
    if (module.place > 0) return;  // with the first
    for (const FilePart& part : encoded(module, nullptr)) {
      const Shape& s = part.shape;
      require(module.stacked == 0 || s.rank() == 2, ErrorCode::internal, "{}.{} cannot be stacked", module.name, part.suffix);
      writer_.declare(module.published + "." + part.suffix, part.type,
                      module.stacked > 0 ? Shape{module.stacked, s[0], s[1]} : s);
      ++report_.tensors;
    }
  }

  void write_made(const Module& module) {
    const Format& to = *module.to;
    const int64_t rows = module.shape[0], columns = module.shape[1];
    const RawTensor* weight = module.group.part("weight");
    if (weight == nullptr || weight->type != to.stored) plan_.requantizes(module.group, to);
    std::string_view name = module.group.name;
    const std::vector<float> importance = plan_.importance(name, module.expert, columns, to);
    const LogicalGroups groups =
        made_groups({.group = module.group, .from = *module.from, .row = module.row, .rows = rows, .columns = columns}, to,
                    importance.empty() ? nullptr : importance.data(), pool_);
    for (const FilePart& part : encoded(module, &groups))
      writer_.write(module.published + "." + part.suffix, module.place * int64_t(part.bytes.size()), part.bytes);
  }

  void write_plain(const Module& module) {
    const std::string name = module.vector() ? module.published : module.published + ".weight";
    const int64_t rows = module.vector() ? 1 : module.shape[0], columns = module.shape[-1];
    const int64_t stride = row_bytes(module.plain, columns, name);
    for (int64_t first = 0; first < rows; first += kChunkRows) {
      const int64_t n = std::min(kChunkRows, rows - first);
      const auto bytes =
          plain_rows({.group = module.group, .from = *module.from, .row = module.row + first, .rows = n, .columns = columns},
                     *format_named(module.plain), pool_);
      writer_.write(name, first * stride, bytes);
    }
  }

  Json config() const {
    Json out = texts_.config();
    if (form_.empty()) return out;
    std::vector<FileModule> others;
    for (const FileModule& module : others_)
      if (std::ranges::none_of(others, [&](const FileModule& m) { return m.name == module.name; })) others.push_back(module);
    out.update(find_format(form_).file_config(*base_, others));
    return out;
  }

  const std::shared_ptr<const Checkpoint> source_;
  std::shared_ptr<const Checkpoint> weights_;  // with what was calibrated
  const QuantRecipe& recipe_;
  const std::string_view form_;
  const Format* base_;
  FolderWriter writer_;
  const FolderTexts texts_;
  WeightPlan plan_;
  ThreadPool& pool_;
  const ExportProgress& progress_;
  std::vector<Module> modules_;
  std::vector<FileModule> others_;
  std::string left_;  // the first that could not be what was asked for
  ExportReport report_;
  int64_t made_ = 0, done_ = 0, total_ = 0;
};

}  // namespace

bool names_folder(const std::filesystem::path& output) {
  for (const char* file : {".gguf", ".gale", ".safetensors", ".bin", ".uqff", ".json"})
    if (output.string().ends_with(file)) return false;
  return true;
}

ExportReport export_folder(const std::shared_ptr<const Checkpoint>& source, const QuantRecipe& recipe,
                           const std::filesystem::path& output, ThreadPool& pool, const ExportProgress& progress) {
  find_architecture(source->architecture());  // names of others nobody knows
  check_method(*source);
  if (source->packed() != nullptr) check_arrangement(*source);
  return FolderExporter(source, recipe, output, pool, progress).run();
}

ExportReport write_folder(const std::string& source, const QuantRecipe& recipe, const std::filesystem::path& output, int threads,
                          const ExportProgress& progress) {
  const QuantRecipe read = recipe.read();
  if (recipe.type != QuantRecipe::kAuto) form_of(recipe);  // refused before anything is opened
  if (is_random_model(source)) resolve_auto(recipe, source, nullptr);
  ThreadPool pool(choose_threads(threads));
  const auto checkpoint = open_model(source, recipe.type, pool);
  return export_folder(checkpoint, resolve_auto(read, source, checkpoint), output, pool, progress);
}

}  // namespace gale
