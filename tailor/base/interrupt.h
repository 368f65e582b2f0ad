/// \file Ctrl-C. The first SIGINT or SIGTERM sets a flag that long work looks at; the second ends the program
/// at once, together with the subprocesses it started.
#pragma once

namespace tailor {

/// Installs the handlers; call once, early in main. Without it signals keep their default effect.
void catch_interrupts();

/// Has a SIGINT or SIGTERM come?
bool interrupted();
/// @throws Error interrupted if a SIGINT or SIGTERM has come
void throw_if_interrupted();
/// What a signal does; for tests and for embedding programs.
void set_interrupted(bool value);

/// Process groups that a second Ctrl-C kills too. At most 32 are kept; more are ignored.
void kill_with_us(int process_group);
void no_longer_kill(int process_group);

}  // namespace tailor
