#include "core/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

#include "core/check.h"

namespace allreco::core {

namespace {

/// A handler of signals can only read what is static, and may not lock. `begin` is set last and taken back first.
struct Slot {
  std::atomic<bool> taken = false;
  std::atomic<std::uintptr_t> begin = 0;
  std::uintptr_t end = 0;
  const char* last_words = nullptr;
  size_t num_bytes = 0;
};
std::array<Slot, 4096> slots;
struct sigaction action_before;

void on_sigbus(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (const Slot& slot : slots) {
    const std::uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= slot.end) continue;
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, slot.last_words, slot.num_bytes);
    ::_exit(1);
  }
  ::sigaction(SIGBUS, &action_before, nullptr);  // not ours
  ::raise(SIGBUS);                               // delivered on return
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = &on_sigbus;
    action.sa_flags = SA_SIGINFO;
    require(::sigaction(SIGBUS, &action, &action_before) == 0, "sigaction of SIGBUS");
  });
}

int take_slot() {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i].taken.exchange(true)) return static_cast<int>(i);
  }
  user_error("more than {} files are mapped at a time: does the model need so many? Merge its shards", slots.size());
}

}  // namespace

MappedFile::MappedFile(const InputFile& file) : size_(file.size()) {
  if (size_ == 0) return;
  last_words_ = message(
      "error {} was cut short, or its disk failed, while it was in use (SIGBUS). Copy it again and start again; "
      "nothing may change a model's files while they are used\n",
      file.path().string());
  install_handler();
  slot_ = take_slot();
  Slot& slot = slots[static_cast<size_t>(slot_)];
  void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (address == MAP_FAILED) {
    const int error = errno;
    slot.taken = false;
    fault("cannot map {}: {}", file.path().string(), std::strerror(error));
  }
  data_ = static_cast<const char*>(address);
  slot.end = reinterpret_cast<std::uintptr_t>(address) + size_;
  slot.last_words = last_words_.data();
  slot.num_bytes = last_words_.size();
  slot.begin.store(reinterpret_cast<std::uintptr_t>(address), std::memory_order_release);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  Slot& slot = slots[static_cast<size_t>(slot_)];
  slot.begin.store(0, std::memory_order_release);
  ::munmap(const_cast<char*>(data_), size_);
  slot.taken = false;
}

}  // namespace allreco::core
