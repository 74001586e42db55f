#include "hub/fetch.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "base/checked.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/log.h"
#include "hub/cache.h"
#include "hub/client.h"
#include "hub/download.h"
#include "hub/untrusted_json.h"

namespace gale::hub {
namespace {

namespace fs = std::filesystem;

constexpr size_t kConnections = 8, kMostList = size_t(64) << 20, kMostIndex = size_t(64) << 20;
constexpr int kTries = 6, kListTries = 4;                // a wrong path on a machine without network must not wait long
constexpr int kConnectSeconds = 5, kAnswerSeconds = 10;  // for a hub whose answer the cache can do without
constexpr int64_t kSmall = int64_t(16) << 20;            // one connection does for a file of this size

std::string gigabytes(int64_t bytes) { return fmt::format("{:.2f} GB", double(bytes) / 1e9); }

Fetched fetched(const RepoCache& cache, const std::string& commit, const Choice& choice) {
  if (!choice.note.empty()) log_warning("{}", choice.note);
  const fs::path folder = cache.snapshot(commit);
  return {choice.gguf.empty() ? folder : folder / choice.gguf, choice.by_quant};
}

Choice choose_cached(const RepoCache& cache, const FileList& list, const RepoName& repo, const Wanted& wanted) {
  return choose_files(list, repo, wanted,
                      [&](const RepoFile& file) { return read_text(cache.snapshot(list.commit) / file.name, kMostIndex); });
}

// Whether the cache has all that is asked for.
bool is_cached(const RepoCache& cache, const RepoName& repo, const Wanted& wanted) {
  const std::string commit = cache.commit_of(repo.revision);
  if (commit.empty()) return false;
  const FileList list = cache.files_of(commit);
  try {
    const Choice choice = choose_cached(cache, list, repo, wanted);
    return choice.by_quant || choice.gguf.empty() || wanted.quant.empty();
  } catch (const Error&) {
    return false;
  }
}

// Only what the cache has. `why` says why nothing else can be had.
Fetched from_cache(const RepoCache& cache, const RepoName& repo, const Wanted& wanted, const std::string& why) {
  const std::string commit = cache.commit_of(repo.revision);
  require(!commit.empty(), ErrorCode::not_found, "{} is not in the cache {}, and {}", repo.text(),
          cache.folder().parent_path().string(), why);
  const FileList list = cache.files_of(commit);
  try {
    Choice choice = choose_cached(cache, list, repo, wanted);
    const bool asked_for = choice.by_quant || !repo.file.empty() || !repo.type.empty();
    const bool open = !choice.gguf.empty() && !asked_for && choice.note.empty();
    if (open && !(wanted.quant.empty() && has_type(choice.gguf, kUsualType)))
      choice.note = fmt::format("{}: taking {}, the model that is in the cache; the repository may have others, but {}",
                                repo.text(), choice.gguf, why);
    return fetched(cache, commit, choice);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::not_found) throw;
    throw Error(e.code(), fmt::format("{} (in the cache, which is all there is: {})", e.what(), why));
  }
}

/// Brings one repository's files.
class Fetcher {
 public:
  Fetcher(const RepoName& repo, const Settings& settings, const RepoCache& cache, const Meter::Report& progress)
      : repo_(repo), settings_(settings), cache_(cache), progress_(progress) {
    for (size_t i = 0; i < kConnections; ++i) connections_.push_back(std::make_unique<Http>(options()));
  }

  /// `cached`: the cache will do where the hub does not answer at once.
  Fetched run(const Wanted& wanted, bool cached) {
    list_ = parse_file_list(list_text(cached), repo_.text());
    require(!is_commit(repo_.revision) || list_.commit == repo_.revision, ErrorCode::corrupt,
            "{}: the hub answers for another commit, {}; nothing of it is taken", repo_.text(), list_.commit);
    const Choice choice = choose_files(list_, repo_, wanted, [&](const RepoFile& file) {
      bring({&file});
      return read_text(cache_.snapshot(list_.commit) / file.name, kMostIndex);
    });
    bring(choice.files);
    cache_.write_ref(repo_.revision, list_.commit);
    return fetched(cache_, list_.commit, choice);
  }

 private:
  HttpOptions options() const {
    return {.endpoint = settings_.endpoint, .token = settings_.token_to_send(), .stall_seconds = settings_.stall_seconds};
  }

  std::string list_text(bool cached) {
    const std::string url =
        fmt::format("{}/api/models/{}/revision/{}?blobs=true", settings_.endpoint, repo_.id, url_encoded(repo_.revision, false));
    if (!cached) return get_text(*connections_[0], settings_, url, repo_.text(), kListTries, kMostList);
    HttpOptions quick = options();
    quick.connect_seconds = kConnectSeconds;
    quick.whole_seconds = kAnswerSeconds;
    Http http(quick);
    try {
      return get_text(http, settings_, url, repo_.text(), 1, kMostList);
    } catch (const Error& e) {  // gated by now, or gone, or the token is: what was had stays, as with huggingface_hub
      if (e.code() == ErrorCode::not_found) throw Unreachable(e.code(), e.what());
      throw;
    }
  }

  std::string url_of(const std::string& file) const {
    return fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, repo_.id, list_.commit, url_encoded(file, true));
  }
  std::string what(const RepoFile& file) const { return fmt::format("{}: {}", repo_.text(), file.name); }

  // Size and etag as the hub says them with the file itself, for hubs whose lists do not.
  void ask(RepoFile& file) {
    Patience patience(kTries);
    HttpRequest request{.url = url_of(file.name), .head = true};
    while (true) {
      const HttpReply reply = connections_[0]->send(request);
      if (is_passing(reply)) {
        patience.wait(reply, what(file));
        continue;
      }
      if (reply.status != 200) refuse(reply, what(file), settings_);
      const auto said = [&](const char* linked, const char* own) {
        const auto found = reply.first.find(linked);
        return found != reply.first.end() ? found->second : reply.header(own);
      };
      file.etag = clean_etag(said("x-linked-etag", "etag"));
      const std::string size = said("x-linked-size", "content-length");
      const bool number = !size.empty() && size.size() < 16 && size.find_first_not_of("0123456789") == size.npos;
      require(!file.etag.empty() && number, ErrorCode::corrupt,
              "{}: the hub gives neither size nor ETag for it; check HF_ENDPOINT", what(file));
      file.size = std::stoll(size);
      return;
    }
  }

  // What names bytes by their hash may be shared. Any other ETag says nothing of them: its file gets a blob of its own.
  std::string blob_of(const RepoFile& file) const {
    if (Digest::kind_of(file.etag) != Digest::Kind::none) return file.etag;
    Digest path(Digest::Kind::git_sha1, int64_t(file.name.size()));
    path.add(std::as_bytes(std::span(file.name)));
    return fmt::format("{}-{}", list_.commit, path.finish());
  }

  void warn_unverified(const RepoFile& file) {
    if (warned_ || Digest::kind_of(file.etag) != Digest::Kind::none) return;
    warned_ = true;
    log_warning("{}: unverified, the hub gives no hash of its bytes; only sizes are compared", what(file));
  }

  void bring(const std::vector<const RepoFile*>& wanted) {
    std::vector<RepoFile> missing;
    for (const RepoFile* file : wanted)
      if (!cache_.has(list_.commit, *file)) missing.push_back(*file);
    if (missing.empty()) return;
    cache_.prepare();
    for (RepoFile& file : missing)
      if (file.etag.empty() || file.size < 0) ask(file);
    for (const RepoFile& file : missing) warn_unverified(file);
    const int64_t total = check_space(missing);
    Meter meter(total, progress_);
    std::vector<RepoFile> small, one_by_one, copies;
    std::set<std::string> seen;
    for (RepoFile& file : missing)
      (!seen.insert(blob_of(file)).second ? copies : file.size <= kSmall ? small : one_by_one).push_back(std::move(file));
    bring_small(small, meter);
    one_by_one.insert(one_by_one.end(), copies.begin(), copies.end());
    for (const RepoFile& file : one_by_one) bring_one(file, connections_, meter);
  }

  // Each on a connection of its own: what takes time is the way there and back.
  void bring_small(std::span<const RepoFile> files, Meter& meter) {
    std::atomic<size_t> next{0};
    std::mutex mutex;
    std::exception_ptr error;
    const auto work = [&](size_t connection) {
      try {
        for (size_t at = next++; at < files.size(); at = next++)
          bring_one(files[at], Connections(connections_).subspan(connection, 1), meter);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        next = files.size();
      }
    };
    std::vector<std::thread> threads;
    for (size_t i = 1; i < std::min(files.size(), kConnections); ++i)
      if (!add_thread(threads, [&work, i] { work(i); })) break;
    work(0);
    for (std::thread& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
  }

  void bring_one(const RepoFile& file, Connections connections, Meter& meter) const {
    const Source source{what(file), url_of(file.name), file.etag, file.size};
    const std::string blob = blob_of(file);
    download(source, cache_.blob(blob), cache_.lock(blob), connections, settings_, meter);
    cache_.link(list_.commit, file, blob);
  }

  // Bytes of all files; those of blobs that are there already need no room, nor does what earlier tries left.
  int64_t check_space(const std::vector<RepoFile>& files) const {
    int64_t total = 0, needed = 0;
    std::error_code error;
    std::set<std::string> seen;
    for (const RepoFile& file : files) {
      total = checked_add(total, file.size, file.name);
      const fs::path blob = cache_.blob(blob_of(file));
      if (seen.insert(blob.string()).second && !fs::exists(blob, error))
        needed = checked_add(needed, file.size - Partial::left_of(blob, file.size), file.name);
    }
    const fs::space_info space = fs::space(cache_.folder(), error);
    require(
        error || needed <= 0 || uintmax_t(needed) <= space.available, ErrorCode::out_of_memory,
        "{}: {} are to be downloaded, but {} has only {} free; make room (gale cache rm), or name another disk with HF_HUB_CACHE",
        repo_.text(), gigabytes(needed), cache_.folder().parent_path().string(), gigabytes(int64_t(space.available)));
    return total;
  }

  const RepoName& repo_;
  const Settings& settings_;
  const RepoCache& cache_;
  const Meter::Report& progress_;
  FileList list_;
  bool warned_ = false;
  std::vector<std::unique_ptr<Http>> connections_;
};

}  // namespace

Fetched fetch(const RepoName& repo, const Wanted& wanted, const Settings& settings, const Meter::Report& progress) {
  const RepoCache cache(settings.cache, repo.id);
  if (settings.offline) return from_cache(cache, repo, wanted, "HF_HUB_OFFLINE is set");
  try {
    return Fetcher(repo, settings, cache, progress).run(wanted, is_cached(cache, repo, wanted));
  } catch (const Unreachable& e) {
    if (cache.commit_of(repo.revision).empty()) throw;
    Fetched out = from_cache(cache, repo, wanted, e.what());
    log_warning("{}; using what is in the cache", e.what());
    return out;
  }
}

std::string who_am_i(const Settings& settings) {
  Http http({.endpoint = settings.endpoint, .token = settings.token_to_send(), .stall_seconds = settings.stall_seconds});
  const std::string answer = get_text(http, settings, settings.endpoint + "/api/whoami-v2", "the token", kTries, kMostList);
  const UntrustedJson json = parse_untrusted(answer, "the token");
  const auto name = json.is_object() ? json.find("name") : json.end();
  require(name != json.end() && name->is_string(), ErrorCode::corrupt, "{} does not say whose the token is; check HF_ENDPOINT",
          settings.shown_endpoint());
  return name->get<std::string>();
}

}  // namespace gale::hub
