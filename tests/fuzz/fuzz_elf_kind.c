/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_elf_kind.c - files that a program is about to execute
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/elf_kind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *interpreter = malloc(TS_INTERPRETER_CAP);
	int fd = memfd_create("program", MFD_CLOEXEC);

	if (!interpreter || fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	memset(interpreter, 'x', TS_INTERPRETER_CAP);
	switch (ts_elf_kind_of(fd, interpreter)) {
	case TS_ELF_SCRIPT:
	case TS_ELF_DYNAMIC:
		if (!memchr(interpreter, '\0', TS_INTERPRETER_CAP))
			abort();
		break;
	default:
		break;
	}
	close(fd);
	free(interpreter);
	return 0;
}
