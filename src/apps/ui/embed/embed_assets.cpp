// SPDX-License-Identifier: Apache-2.0
// Build tool: packs web/dist into one assembler file (.incbin) plus a table.   embed_assets DIST_DIR OUT_DIR
// Writes OUT_DIR/assets.S, OUT_DIR/assets_table.inc and the compressed files beside them. With no DIST_DIR/index.html
// the table is empty and the server says at / that it was built without the page.
#include <brotli/encode.h>
#include <openssl/sha.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) {
    std::fprintf(stderr, "embed_assets: cannot write %s\n", path.c_str());
    std::exit(1);
  }
}

std::string gzip(const std::string& bytes) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, bytes.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string brotli(const std::string& bytes) {
  std::size_t size = BrotliEncoderMaxCompressedSize(bytes.size());
  std::string out(size, '\0');
  BrotliEncoderCompress(11, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, bytes.size(),
                        reinterpret_cast<const std::uint8_t*>(bytes.data()), &size,
                        reinterpret_cast<std::uint8_t*>(out.data()));
  out.resize(size);
  return out;
}

std::string etag(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  std::string hex;
  char byte[3];
  for (int i = 0; i < 16; ++i) {
    std::snprintf(byte, sizeof byte, "%02x", digest[i]);
    hex += byte;
  }
  return hex;
}

const char* content_type(const std::string& extension) {
  static constexpr std::pair<const char*, const char*> kTypes[] = {{".html", "text/html; charset=utf-8"},
                                                                   {".js", "text/javascript; charset=utf-8"},
                                                                   {".css", "text/css; charset=utf-8"},
                                                                   {".json", "application/json"},
                                                                   {".svg", "image/svg+xml"},
                                                                   {".png", "image/png"},
                                                                   {".ico", "image/x-icon"},
                                                                   {".woff2", "font/woff2"},
                                                                   {".webmanifest", "application/manifest+json"},
                                                                   {".txt", "text/plain; charset=utf-8"},
                                                                   {".map", "application/json"}};
  for (auto [known, type] : kTypes) {
    if (extension == known) return type;
  }
  return "application/octet-stream";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  fs::path dist = argv[1];
  fs::path out = argv[2];
  fs::create_directories(out);
  std::vector<fs::path> files;
  if (fs::exists(dist / "index.html")) {
    for (const auto& entry : fs::recursive_directory_iterator(dist)) {
      // The build's own list of files is for tools.
      if (entry.is_regular_file() && entry.path().filename() != "manifest.build.json") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) {
    return a.lexically_relative(dist).generic_string() < b.lexically_relative(dist).generic_string();
  });
  std::string assembly = ".section .rodata\n";
  std::string declarations;
  std::string rows;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::string name = files[i].lexically_relative(dist).generic_string();
    std::string bytes = read(files[i]);
    std::string extension = files[i].extension().string();
    bool packed = extension != ".woff2" && extension != ".png" && name != "index.html";
    auto section = [&](const char* kind, const std::string& content) {
      std::string symbol = "tocayo_asset_" + std::to_string(i) + "_" + kind;
      fs::path file = out / (std::to_string(i) + "." + kind);
      write(file, content);
      assembly += ".global " + symbol + "\n.balign 16\n" + symbol + ":\n.incbin \"" + file.string() + "\"\n";
      declarations += "extern \"C\" const char " + symbol + "[];\n";
      return "{" + symbol + ", " + std::to_string(content.size()) + "}";
    };
    const std::string none = "{}";
    std::string plain = packed ? none : section("plain", bytes);
    std::string zipped = packed ? section("gz", gzip(bytes)) : none;
    std::string brotlied = packed ? section("br", brotli(bytes)) : none;
    rows += "    {\"" + name + "\", \"" + content_type(extension) + "\", \"" + etag(bytes) + "\", " +
            std::to_string(bytes.size()) + ", " + plain + ", " + zipped + ", " + brotlied + "},\n";
  }
  write(out / "assets.S", assembly + ".section .note.GNU-stack,\"\",@progbits\n");
  write(out / "assets_table.inc",
        declarations + "static const tocayo::ui::Asset kAssets[] = {\n" + rows +
            "    {}};\nstatic constexpr std::size_t kAssetCount = " + std::to_string(files.size()) + ";\n");
  return 0;
}
