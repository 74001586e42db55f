#include <gmock/gmock.h>

#include <filesystem>

#include "base/file.h"
#include "gale/error.h"
#include "hub/choice.h"
#include "hub/digest.h"
#include "hub/file_list.h"
#include "hub/http.h"
#include "hub/partial.h"
#include "hub/repo_name.h"
#include "hub/settings.h"
#include "hub/untrusted_json.h"

namespace gale::hub {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(RepoName, PartsInEitherOrder) {
  const auto plain = parse_repo_name("org/name");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->id, "org/name");
  EXPECT_EQ(plain->revision, "main");
  for (const char* text : {"org/na.me-1:Q4_K_M@refs/pr/3", "org/na.me-1@refs/pr/3:Q4_K_M"}) {
    const auto name = parse_repo_name(text);
    ASSERT_TRUE(name) << text;
    EXPECT_EQ(name->id, "org/na.me-1");
    EXPECT_EQ(name->type, "Q4_K_M");
    EXPECT_EQ(name->revision, "refs/pr/3");
  }
  const auto file = parse_repo_name("org/name/sub/x-00001-of-00002.gguf@v1");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->file, "sub/x-00001-of-00002.gguf");
  EXPECT_EQ(file->text(), "org/name@v1");
}

TEST(RepoName, NamesThatLookLikeFilesNeedAMark) {
  for (const char* text : {"a/b.gguf@main", "a/b.gguf:Q8_0", "a/b.gguf/m.gguf", "a/b.safetensors@v1"})
    EXPECT_TRUE(parse_repo_name(text)) << text;
  EXPECT_EQ(parse_repo_name("a/b.gguf@main")->id, "a/b.gguf");
  EXPECT_EQ(parse_repo_name("a/b.gguf/m.gguf")->file, "m.gguf");
  for (const char* text : {"a/b.gguf", "a/b.git@main", "a/b.ipynb@main"}) EXPECT_FALSE(parse_repo_name(text)) << text;
}

TEST(RepoName, PathsAreNone) {
  for (const char* text : {"",
                           "name",
                           "/a/b",
                           "./a",
                           "../a",
                           "a/",
                           "/a",
                           "a/b/c",
                           "a/b/",
                           "a//b",
                           "~/a",
                           "a/b.gguf",
                           "a/b.safetensors",
                           "a/..",
                           "a/--b",
                           "-a/b",
                           "a/b-",
                           "a/b--c",
                           "a/b@",
                           "a/b:",
                           "a/b@x@y",
                           "a/b:x:y",
                           "a/b@../x",
                           "a/b@/x",
                           "a/b@x y",
                           "a/b/../c.gguf",
                           "a b/c",
                           "a/b@x\\y",
                           "a/b:x/y",
                           "random:llama",
                           "a/b/c.gguf:Q8_0",
                           "a/b@x..y/../z",
                           "https://huggingface.co/a/b"})
    EXPECT_FALSE(parse_repo_name(text)) << text;
  EXPECT_FALSE(parse_repo_name(std::string_view("a/b\0c", 5)));
  EXPECT_FALSE(parse_repo_name("a/" + std::string(200, 'x')));
}

TEST(RepoName, Encoding) {
  EXPECT_EQ(url_encoded("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(url_encoded("a b/\xc3\xa9?#%", true), "a%20b/%C3%A9%3F%23%25");
}

TEST(FileList, ReadsNamesSizesAndHashes) {
  const std::string sha(64, 'a'), git(40, 'b'), commit(40, 'c');
  const FileList list = parse_file_list(R"({"sha": ")" + commit + R"(", "siblings": [
      {"rfilename": "z.bin", "size": 1, "blobId": ")" +
                                            git + R"(", "lfs": {"sha256": ")" + sha + R"(", "size": 7}},
      {"rfilename": "a/b.json", "size": 3, "blobId": ")" +
                                            git + R"("}, {"rfilename": "c"},
      {"rfilename": "d", "size": null, "blobId": "../x", "lfs": null}]})",
                                        "here");
  ASSERT_EQ(list.files.size(), 4u);
  EXPECT_EQ(list.find("z.bin")->etag, sha);
  EXPECT_EQ(list.find("z.bin")->size, 7);
  EXPECT_EQ(list.find("a/b.json")->etag, git);
  EXPECT_EQ(list.find("c")->size, -1);
  EXPECT_EQ(list.find("d")->etag, "");
  EXPECT_EQ(list.find("e"), nullptr);
}

TEST(FileList, RefusesWhatIsHostile) {
  const std::string head = R"({"sha": ")" + std::string(40, 'c') + R"(", "siblings": )";
  for (const char* name : {"..", "../x", "/x", "x/../y", "x\\\\y", "x\\u0000y", "x\\ny", "", "x//y", "x/"})
    EXPECT_THAT(error_of([&] { parse_file_list(head + R"([{"rfilename": ")" + name + R"("}]})", "org/name"); }),
                HasSubstr("org/name"))
        << name;
  for (const char* size : {"-1", "1e300", "9223372036854775808", "\"7\"", "2000000000000000", "[]"})
    EXPECT_THAT(error_of([&] { parse_file_list(head + R"([{"rfilename": "x", "size": )" + size + "}]}", "org/name"); }),
                HasSubstr("cannot be"))
        << size;
  for (const char* text : {"", "[]", "{}", "null", "{\"sha\": 7}", "{\"sha\": \"../../../etc\"}", "<html>"})
    EXPECT_NE(error_of([&] { parse_file_list(text, "org/name"); }), "") << text;
  EXPECT_NE(error_of([&] { parse_file_list(head + "7}", "org/name"); }), "");
  EXPECT_NE(error_of([&] { parse_file_list(head + "[7]}", "org/name"); }), "");
}

TEST(FileList, EtagsAreFileNames) {
  EXPECT_EQ(clean_etag("\"abc\""), "abc");
  EXPECT_EQ(clean_etag("W/\"abc\""), "abc");
  for (const char* text : {"", "\"\"", "\"../x\"", "\"a/b\"", "\"..\"", "\".x\"", "\"a\\b\""})
    EXPECT_EQ(clean_etag(text), "") << text;
}

FileList list_of(const std::vector<std::string>& names) {
  FileList out;
  for (const std::string& name : names) out.files.push_back({.name = name, .size = int64_t(1e9)});
  std::ranges::sort(out.files, {}, &RepoFile::name);
  return out;
}

std::vector<std::string> chosen(const FileList& list, const std::string& repo, const Wanted& wanted = {},
                                const std::string& index = "") {
  std::vector<std::string> out;
  for (const RepoFile* file : choose_files(list, *parse_repo_name(repo), wanted, [&](const RepoFile&) { return index; }).files)
    out.push_back(file->name);
  return out;
}

TEST(Choice, TypesInNames) {
  EXPECT_TRUE(has_type("model-Q4_K_M.gguf", "q4_k_m"));
  EXPECT_TRUE(has_type("model.q4_k_m.gguf", "Q4_K_M"));
  EXPECT_TRUE(has_type("Q4_K_M.gguf", "q4_k_m"));
  EXPECT_TRUE(has_type("sub/model-Q4_K_M-00001-of-00003.gguf", "q4_k_m"));
  EXPECT_TRUE(has_type("Q4_K_M/model-00001-of-00003.gguf", "q4_k_m"));
  EXPECT_TRUE(has_type("model-UD-Q4_K_XL.gguf", "q4_k_xl"));
  EXPECT_FALSE(has_type("model-Q4_K_M.gguf", "q4_k"));
  EXPECT_FALSE(has_type("model-IQ4_K_M.gguf", "q4_k_m"));
  EXPECT_FALSE(has_type("model-BF16.gguf", "f16"));
  EXPECT_FALSE(has_type("model.gguf", ""));
}

TEST(Choice, Safetensors) {
  const std::vector<std::string> texts = {"config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
                                          "README.md"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), texts.begin(), texts.end());
    return list_of(more);
  };
  const FileList one = with(
      {"model.safetensors", "model.fp16.safetensors", "consolidated.safetensors", "onnx/model.safetensors", "m-Q4_K_M.gguf"});
  EXPECT_THAT(chosen(one, "o/n"), ElementsAre("config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"));
  EXPECT_THAT(chosen(one, "o/n", {.weights = false, .quant = ""}),
              ElementsAre("config.json", "tokenizer_config.json", "tokenizer.json"));
  EXPECT_THAT(chosen(one, "o/n:Q4_K_M"), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(
      chosen(list_of({"config.json", "a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors", "consolidated.safetensors"}),
             "o/n"),
      ElementsAre("config.json", "a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors"));
  EXPECT_THAT(chosen(list_of({"config.json", "odd.safetensors"}), "o/n"), ElementsAre("config.json", "odd.safetensors"));
  const FileList sharded = list_of({"model.safetensors.index.json", "s1.safetensors", "s2.safetensors", "s3.safetensors"});
  EXPECT_THAT(
      chosen(sharded, "o/n", {}, R"({"weight_map": {"a": "s2.safetensors", "b": "s1.safetensors", "c": "s2.safetensors"}})"),
      ElementsAre("model.safetensors.index.json", "s1.safetensors", "s2.safetensors"));
  for (const char* index :
       {"", "[]", "{}", R"({"weight_map": {}})", R"({"weight_map": {"a": 1}})", R"({"weight_map": {"a": "../s1.safetensors"}})",
        R"({"weight_map": {"a": "/s1.safetensors"}})", R"({"weight_map": {"a": "s9.safetensors"}})"})
    EXPECT_NE(error_of([&] { chosen(sharded, "o/n", {}, index); }), "") << index;
}

TEST(Choice, EveryFileThatATemplateMayComeFrom) {
  const FileList all = list_of({"config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
                                "processor_config.json", "chat_template.jinja", "chat_template.json",
                                "additional_chat_templates/tool_use.jinja", "additional_chat_templates/deep/no.jinja",
                                "additional_chat_templates/no.txt", "tokenizer.json", "model.safetensors"});
  EXPECT_THAT(chosen(all, "o/n", {.weights = false, .quant = ""}),
              UnorderedElementsAre("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
                                   "processor_config.json", "chat_template.jinja", "chat_template.json",
                                   "additional_chat_templates/tool_use.jinja", "tokenizer.json"));
}

TEST(Choice, ATokenizerAndNothingElse) {
  const FileList list = list_of({"tokenizer.json", "tokenizer_config.json", "README.md"});
  EXPECT_THAT(chosen(list, "o/n", {.weights = false, .quant = ""}), ElementsAre("tokenizer_config.json", "tokenizer.json"));
  EXPECT_THAT(error_of([&] { chosen(list, "o/n"); }), HasSubstr("holds no model"));
  EXPECT_THAT(chosen(list_of({"M-Q8_0.gguf", "M-mmproj-f16.gguf", "mmproj-M.gguf"}), "o/n"), ElementsAre("M-Q8_0.gguf"));
}

TEST(Choice, TypesThatAreMadeElsewhere) {
  const FileList list = list_of({"m-Q4_K_M.gguf", "m-UD-Q4_K_M.gguf", "m.i1-Q4_K_M.gguf", "m-UD-Q4_K_XL.gguf", "m-IQ2_M.gguf"});
  EXPECT_THAT(chosen(list, "o/n"), ElementsAre("m-Q4_K_M.gguf")) << "the type and nothing else";
  EXPECT_THAT(chosen(list, "o/n:Q4_K_M"), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(chosen(list, "o/n", {.quant = "q4_k_m"}), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(chosen(list, "o/n:UD-Q4_K_M"), ElementsAre("m-UD-Q4_K_M.gguf"));
  EXPECT_THAT(chosen(list, "o/n", {.quant = "IQ2_M", .only_quant = true}), ElementsAre("m-IQ2_M.gguf"));
  EXPECT_THAT(error_of([&] { chosen(list, "o/n", {.quant = "IQ1_M", .only_quant = true}); }),
              HasSubstr("no .gguf of type IQ1_M"));
  const FileList dense = list_of({"config.json", "model.safetensors"});
  EXPECT_THAT(error_of([&] { chosen(dense, "o/n", {.quant = "IQ1_M", .only_quant = true}); }), HasSubstr("no .gguf"));
  const FileList two = list_of({"a-Q4_K_M.gguf", "ab-Q4_K_M.gguf"});
  EXPECT_THAT(error_of([&] { chosen(two, "o/n"); }), HasSubstr("2 models")) << "of two models";
}

TEST(Choice, ReadyMadeTypesGoBeforeQuantizing) {
  const FileList list = list_of({"config.json", "model.safetensors", "m-Q4_K_M.gguf", "m-Q8_0.gguf"});
  EXPECT_THAT(chosen(list, "o/n", {.quant = "q4_k_m"}), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(chosen(list, "o/n", {.quant = "q5_0"}), ElementsAre("config.json", "model.safetensors"));
  EXPECT_THAT(chosen(list, "o/n"), ElementsAre("config.json", "model.safetensors"));
  EXPECT_THAT(chosen(list, "o/n", {.weights = false, .quant = "q4_k_m"}), ElementsAre("config.json", "model.safetensors"));
  const FileList unclear =
      list_of({"config.json", "model.safetensors", "a-Q4_0.gguf", "ab-Q4_0.gguf", "c-Q8_0-00001-of-00002.gguf"});
  for (const char* quant : {"q4_0", "q8_0"})
    EXPECT_THAT(chosen(unclear, "o/n", {.quant = quant}), ElementsAre("config.json", "model.safetensors")) << quant;
}

TEST(Choice, Ggufs) {
  const FileList many = list_of({"m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-m-Q8_0.gguf", "m.imatrix.gguf",
                                 "big/m-F16-00002-of-00002.gguf", "big/m-F16-00001-of-00002.gguf", "config.json"});
  EXPECT_THAT(chosen(many, "o/n"), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(chosen(many, "o/n", {.weights = true, .quant = "q8_0"}), ElementsAre("m-Q8_0.gguf"));
  EXPECT_THAT(chosen(many, "o/n:f16"), ElementsAre("big/m-F16-00001-of-00002.gguf", "big/m-F16-00002-of-00002.gguf"));
  EXPECT_THAT(chosen(many, "o/n/big/m-F16-00002-of-00002.gguf"),
              ElementsAre("big/m-F16-00001-of-00002.gguf", "big/m-F16-00002-of-00002.gguf"));
  EXPECT_THAT(error_of([&] { chosen(many, "o/n", {.weights = true, .quant = "q2_k"}); }), HasSubstr("m-Q8_0.gguf (1.0 GB)"));
  EXPECT_THAT(chosen(list_of({"only.gguf"}), "o/n", {.weights = true, .quant = "q2_k"}), ElementsAre("only.gguf"));
  EXPECT_THAT(error_of([&] { chosen(list_of({"a-Q8_0.gguf", "b-Q8_0.gguf"}), "o/n:q8_0"); }), HasSubstr("2 models"));
  EXPECT_THAT(error_of([&] { chosen(list_of({"a-Q8_0-00001-of-00003.gguf", "a-Q8_0-00003-of-00003.gguf"}), "o/n"); }),
              HasSubstr("only 2 of the 3"));
}

TEST(Digest, KnownValues) {
  const fs::path file = fs::path(testing::TempDir()) / "digest";
  AtomicFile out(file);
  out.write("hello\n");
  out.commit();
  EXPECT_EQ(digest_of(file, Digest::Kind::sha256), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(digest_of(file, Digest::Kind::git_sha1), "ce013625030ba8dba906f756967f9e9ca394464a");  // git hash-object
  EXPECT_EQ(digest_of(file, Digest::Kind::none), "");
  EXPECT_EQ(Digest::kind_of(std::string(64, 'a')), Digest::Kind::sha256);
  EXPECT_EQ(Digest::kind_of(std::string(64, 'g')), Digest::Kind::none);
  EXPECT_EQ(Digest::kind_of(std::string(40, 'a')), Digest::Kind::git_sha1);
}

TEST(Http, OriginsAndRedirects) {
  EXPECT_TRUE(same_origin("https://hub.co/x", "HTTPS://HUB.co:443/y?z"));
  EXPECT_FALSE(same_origin("https://hub.co", "http://hub.co"));
  EXPECT_FALSE(same_origin("https://hub.co", "https://hub.co:444"));
  EXPECT_FALSE(same_origin("https://hub.co", "https://cdn.hub.co"));
  EXPECT_FALSE(same_origin("https://hub.co", "https://hub.co@evil.com/"));
  EXPECT_FALSE(same_origin("https://hub.co", "https://evil.com/hub.co"));
  EXPECT_FALSE(same_origin("https://hub.co", "https://hub.co.evil.com"));
  EXPECT_FALSE(same_origin("", ""));
  EXPECT_TRUE(may_follow("http://a", "http://b"));
  EXPECT_TRUE(may_follow("http://a", "https://b"));
  EXPECT_TRUE(may_follow("https://a", "https://b"));
  EXPECT_FALSE(may_follow("https://a", "http://a"));
  EXPECT_FALSE(may_follow("http://a", "file:///etc/passwd"));
  EXPECT_FALSE(may_follow("http://a", ""));
}

TEST(Partial, GoesOnWhereItWas) {
  const fs::path blob = fs::path(testing::TempDir()) / "partial-blob";
  const int64_t size = (int64_t(40) << 20) + 5;
  const std::string text = "some bytes";
  {
    Partial partial(blob, size);
    ASSERT_EQ(partial.pieces().size(), 3u);
    EXPECT_FALSE(partial.resumed());
    partial.write(partial.pieces()[1].begin, std::as_bytes(std::span(text)));
    partial.advance(1, int64_t(text.size()));
  }
  {
    Partial partial(blob, size);
    EXPECT_TRUE(partial.resumed());
    EXPECT_EQ(partial.done(), int64_t(text.size()));
    EXPECT_EQ(partial.pieces()[1].done, int64_t(text.size()));
    std::string read(text.size(), ' ');
    partial.read(partial.pieces()[1].begin, std::as_writable_bytes(std::span(read)));
    EXPECT_EQ(read, text);
  }
  EXPECT_FALSE(Partial(blob, size + 1).resumed());  // another size
  Partial last(blob, size);
  EXPECT_FALSE(last.resumed());
  last.remove();
  EXPECT_FALSE(fs::exists(blob.string() + ".gale.incomplete"));
}

TEST(Partial, DoesNotBelieveItsRecord) {
  const fs::path blob = fs::path(testing::TempDir()) / "partial-liar";
  {
    Partial(blob, 1000).advance(0, 500);
  }
  EXPECT_TRUE(Partial(blob, 1000).resumed());
  {
    Partial(blob, 1000).advance(0, 5000);
  }
  EXPECT_FALSE(Partial(blob, 1000).resumed());
  Partial(blob, 1000).remove();
}

TEST(Settings, TokensStandInHeaders) {
  EXPECT_EQ(clean_token(" hf_x\r\n", "here"), "hf_x");
  EXPECT_EQ(clean_token(" \n", "here"), "");
  EXPECT_THAT(error_of([] { clean_token("hf_x\r\nHost: evil", "here"); }), HasSubstr("here"));
}

TEST(Settings, PasswordsDoNotShow) {
  Settings settings;
  for (const auto& [endpoint, shown] :
       std::initializer_list<std::pair<const char*, const char*>>{{"https://huggingface.co", "https://huggingface.co"},
                                                                  {"https://me:p@ss@host:8/x", "https://host:8/x"},
                                                                  {"http://host/a@b", "http://host/a@b"},
                                                                  {"http://me@host?a@b", "http://host?a@b"}}) {
    settings.endpoint = endpoint;
    EXPECT_EQ(settings.shown_endpoint(), shown);
  }
}

TEST(UntrustedJson, HasLimits) {
  EXPECT_EQ(parse_untrusted(R"({"a": [1, {"b": 2}]})", "here")["a"][1]["b"], 2);
  EXPECT_TRUE(parse_untrusted("{", "here").is_discarded());
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_FALSE(parse_untrusted(nested(64), "here").is_discarded());
  EXPECT_THAT(error_of([&] { parse_untrusted(nested(1'000'000), "here"); }), HasSubstr("here: the JSON is nested deeper"));
}

}  // namespace
}  // namespace gale::hub
