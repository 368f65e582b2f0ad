// tailor-farm: the one place where its errors are caught. arguments.cpp: the command line; farm.cpp: what it does.
#include "tailor/base/interrupt.h"
#include "tailor/base/memory.h"
#include "tailor/farm/ranks.h"
#include "tailor/launcher/launcher.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <string_view>

int main(int count, char** words) {
  using namespace tailor;
  catch_interrupts();
  keep_freed_memory();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is a failed write, not a death
  console::Voice voice = console::first_look(count, words);
  // What is wrong with the command line is wrong for every rank: the first one says it. Shards are alone.
  const bool shard = std::any_of(
      words, words + count, [](const char* word) { return std::string_view(word).starts_with("--shard"); });
  auto report = [&](const Error& error) {
    return !shard && farm::is_later_rank() ? exit_code(error.code()) : console::report(voice, error);
  };
  try {
    launcher::FarmArguments arguments;
    if (!launcher::read_arguments(count, words, voice, arguments)) return 0;
    return arguments.shard.empty() ? launcher::run_ranks(voice, arguments)
                                   : launcher::run_shard(voice, arguments);
  } catch (const Error& error) {
    return report(error);
  } catch (const std::bad_alloc&) {
    return report(Error(Code::bug, "out of memory"));
  } catch (const std::exception& error) {
    return report(Error(Code::bug, error.what()));
  }
}
