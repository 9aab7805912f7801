/* SPDX-License-Identifier: BSD-3-Clause
 * test_preload_check.c - programs that LD_PRELOAD reaches, and those it does
 *                        not: ELF files made here, field by field
 */
#include "unit/test.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/engine/preload_check.h"
#include "unit/other_uids.h"

static const char GLIBC[] = "/lib64/ld-linux-x86-64.so.2";
static const char MUSL[] = "/lib/ld-musl-x86_64.so.1";

static char dir[32], path[256];

struct elf {
	uint8_t bytes[1024];
	size_t len;
};

enum { PHDR_AT = 64, INTERP_AT = 192, NAMES_AT = 256, SHDR_AT = 320 };

static uint16_t own_machine(void)
{
#if defined(__x86_64__)
	return EM_X86_64;
#else
	return EM_AARCH64;
#endif
}

/* interp NULL: statically linked. section: the name of its one section. */
static struct elf make_elf(const char *interp, const char *section)
{
	struct elf elf = {.len = 512};
	Elf64_Ehdr e = {.e_type = ET_DYN, .e_machine = own_machine(),
			.e_phoff = PHDR_AT, .e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1, .e_shoff = SHDR_AT,
			.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 2,
			.e_shstrndx = 1};
	Elf64_Phdr p = {.p_type = interp ? PT_INTERP : PT_LOAD,
			.p_offset = INTERP_AT};
	Elf64_Shdr s[2] = {{.sh_name = 1}, {.sh_type = SHT_STRTAB,
					    .sh_offset = NAMES_AT,
					    .sh_size = 32}};

	memcpy(e.e_ident, ELFMAG, SELFMAG);
	e.e_ident[EI_CLASS] = ELFCLASS64;
	e.e_ident[EI_DATA] = ELFDATA2LSB;
	if (interp) {
		p.p_filesz = strlen(interp) + 1;
		strcpy((char *)elf.bytes + INTERP_AT, interp);
	}
	memcpy(elf.bytes, &e, sizeof(e));
	memcpy(elf.bytes + PHDR_AT, &p, sizeof(p));
	strcpy((char *)elf.bytes + NAMES_AT + 1, section);
	memcpy(elf.bytes + SHDR_AT, s, sizeof(s));
	return elf;
}

static void write_file(const char *name, const void *data, size_t len,
		       mode_t mode)
{
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static int check(const struct elf *elf, char err[static 256])
{
	err[0] = '\0';
	write_file("prog", elf->bytes, elf->len, 0755);
	return preload_check(path, err);
}

static void check_code(const struct elf *elf, int code, const char *why)
{
	char err[256];

	assert_int_equal(check(elf, err), code);
	if (!strstr(err, why))
		fail_msg("'%s' does not say '%s'", err, why);
	assert_non_null(strstr(err, "/prog: "));
}

static void check_refused(const struct elf *elf, const char *why)
{
	check_code(elf, -ENOEXEC, why);
}

static void test_good_programs(void **state)
{
	struct elf elf = make_elf(GLIBC, ".text");
	char err[256];

	(void)state;
	assert_int_equal(check(&elf, err), 0);
	elf = make_elf(MUSL, ".text");
	assert_int_equal(check(&elf, err), 0);
	assert_int_equal(preload_check("/proc/self/exe", err), 0);
}

static void test_the_systems_programs(void **state)
{
	char err[256];

	(void)state;
	assert_int_equal(preload_check("/bin/sh", err), 0);
	assert_int_equal(preload_check("sh", err), 0);
}

static void test_refused_programs(void **state)
{
	struct elf elf = make_elf(NULL, ".text");

	(void)state;
	/* These can be served another way. */
	check_code(&elf, -ENOTSUP, "statically linked");
	elf = make_elf(GLIBC, ".go.buildinfo");
	check_code(&elf, -ENOTSUP, "Go program");
	elf = make_elf(NULL, ".go.buildinfo");
	check_code(&elf, -ENOTSUP, "Go program");
	elf = make_elf("/system/bin/linker64", ".text");
	check_refused(&elf, "neither glibc's nor musl's");
	elf = make_elf(GLIBC, ".text");
	((Elf64_Ehdr *)(void *)elf.bytes)->e_machine = EM_RISCV;
	check_refused(&elf, "another machine");
	elf = make_elf(GLIBC, ".text");
	elf.bytes[EI_CLASS] = ELFCLASS32;
	check_refused(&elf, "another machine");
	elf = make_elf(GLIBC, ".text");
	elf.bytes[1] = 'X';
	check_refused(&elf, "neither an ELF program nor a #! script");
}

static void test_set_id_programs(void **state)
{
	struct elf elf = make_elf(GLIBC, ".text");
	char err[256];

	(void)state;
	write_file("prog", elf.bytes, elf.len, 0755);
	if (!has_other_uids())
		skip();
	assert_int_equal(chown(path, OTHER_UID, OTHER_UID), 0);
	for (mode_t bit = S_ISGID; bit <= S_ISUID; bit <<= 1) {
		assert_int_equal(chmod(path, 0755 | bit), 0);
		assert_int_equal(preload_check(path, err), -ENOEXEC);
		assert_non_null(strstr(err, "set-user-ID or set-group-ID"));
	}
	/* Our own bit changes nothing at exec. */
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(chmod(path, 06755), 0);
	assert_int_equal(preload_check(path, err), 0);
}

/* Whatever is cut off, an answer comes; the whole file is good. */
static void test_truncated_at_each_length(void **state)
{
	struct elf whole = make_elf(GLIBC, ".text");
	size_t total = whole.len;
	char err[256];

	(void)state;
	for (size_t len = 0; len < total; len++) {
		struct elf cut = whole;
		int code;

		cut.len = len;
		code = check(&cut, err);
		/* Sections are only looked at for Go's. */
		if (len < INTERP_AT + sizeof(GLIBC))
			assert_true(code == -ENOEXEC || code == -ENOTSUP);
		else
			assert_true(code == 0 || code == -ENOEXEC);
		assert_true(code == 0 || err[0] != '\0');
	}
}

/* Offsets and counts that point anywhere must lead nowhere. */
static void test_wild_headers(void **state)
{
	static const uint64_t wild[] = {1, 3, 511, 512, 1u << 31, UINT64_MAX,
					UINT64_MAX - 55, INT64_MAX};
	static const size_t fields[] = {
		offsetof(Elf64_Ehdr, e_phoff), offsetof(Elf64_Ehdr, e_shoff),
		PHDR_AT + offsetof(Elf64_Phdr, p_offset),
		PHDR_AT + offsetof(Elf64_Phdr, p_filesz),
		SHDR_AT + sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_offset)};
	char err[256];

	(void)state;
	for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
		for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
			struct elf elf = make_elf(GLIBC, ".text");
			int code;

			memcpy(elf.bytes + fields[f], &wild[i], 8);
			code = check(&elf, err);
			assert_true(code == 0 || code == -ENOEXEC ||
				    code == -ENOTSUP);
		}
	}
}

static void test_scripts(void **state)
{
	static const struct {
		const char *text;
		int code;
	} cases[] = {
		{"#!/proc/self/exe\necho\n", 0},
		{"#! \t/proc/self/exe -e\n", 0},
		{"#!/proc/self/exe", 0},
		{"#!\n", -ENOEXEC},
		{"#!", -ENOEXEC},
		{"#!   \n/proc/self/exe\n", -ENOEXEC},
		{"#!/proc/nonexistent\n", -ENOENT},
		{"echo no header\n", -ENOEXEC},
		{"", -ENOEXEC},
	};
	char err[256], loop[300];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_file("script", cases[i].text, strlen(cases[i].text),
			   0755);
		assert_int_equal(preload_check(path, err), cases[i].code);
	}
	/* An interpreter that is a script, and one that is itself. */
	write_file("inner", "#!/proc/self/exe\n", 17, 0755);
	snprintf(loop, sizeof(loop), "#!%s\n", path);
	write_file("outer", loop, strlen(loop), 0755);
	assert_int_equal(preload_check(path, err), 0);
	snprintf(loop, sizeof(loop), "#!%s/loop\n", dir);
	write_file("loop", loop, strlen(loop), 0755);
	assert_int_equal(preload_check(path, err), -ENOEXEC);
	/* A static interpreter is what runs. */
	{
		struct elf elf = make_elf(NULL, ".text");

		write_file("static", elf.bytes, elf.len, 0755);
		snprintf(loop, sizeof(loop), "#!%s\n", path);
		write_file("script", loop, strlen(loop), 0755);
		assert_int_equal(preload_check(path, err), -ENOTSUP);
		assert_non_null(strstr(err, "statically linked"));
	}
}

static void test_not_found(void **state)
{
	struct elf elf = make_elf(GLIBC, ".text");
	char err[256], before[4096];

	(void)state;
	assert_int_equal(preload_check("no-such-program-here", err), -ENOENT);
	assert_non_null(strstr(err, "command not found"));
	assert_int_equal(preload_check("/no/such/program", err), -ENOENT);
	assert_int_equal(preload_check(dir, err), -ENOENT); /* a directory */
	write_file("plain", elf.bytes, elf.len, 0644);
	assert_int_equal(preload_check(path, err), -EACCES);
	assert_non_null(strstr(err, "is not executable"));

	/* As execvp: an executable one further on wins, "" is here. */
	snprintf(before, sizeof(before), "%s", getenv("PATH"));
	write_file("tool", "x", 1, 0644);
	setenv("PATH", dir, 1);
	assert_int_equal(preload_check("tool", err), -EACCES);
	setenv("PATH", "", 1);
	assert_int_equal(preload_check("tool", err), -ENOENT);
	snprintf(path, sizeof(path), "%s/sub", dir);
	mkdir(path, 0755);
	write_file("sub/tool", elf.bytes, elf.len, 0755);
	snprintf(path, sizeof(path), "%s:%s/sub", dir, dir);
	setenv("PATH", path, 1);
	assert_int_equal(preload_check("tool", err), 0);
	setenv("PATH", before, 1);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/tsnet-preload-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_programs),
		cmocka_unit_test(test_the_systems_programs),
		cmocka_unit_test(test_refused_programs),
		cmocka_unit_test(test_set_id_programs),
		cmocka_unit_test(test_truncated_at_each_length),
		cmocka_unit_test(test_wild_headers),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_not_found),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
