/* SPDX-License-Identifier: BSD-3-Clause
 * hosts_file.c - is a name, or an address, in /etc/hosts?
 *
 * Whoever wrote it there wants that address, or that name: containers name
 * their neighbours so, and a node of the tailnet with the same name must not
 * take their place. No name looks like an address, so all words count. What
 * the entry says is libc's to read. The file is read in pieces, into the stack,
 * for each name that could be the tailnet's; nothing is remembered, because it
 * may change.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shim/shim.h"

enum { PIECE_BYTES = 1024, FILE_MAX_BYTES = 1 << 20 };

/* Byte by byte: an address and names, up to the line's end or a comment. */
struct scan {
	const char *name;
	size_t name_len, at; /* of the word that is being compared */
	bool is_equal;	     /* so far */
	bool is_comment, in_word;
};

/* true: a word has ended, and it was this one. */
static bool end_word(struct scan *s)
{
	bool is_it = s->in_word && s->is_equal && s->at == s->name_len;

	s->in_word = false;
	return is_it;
}

static bool scan_byte(struct scan *s, char c)
{
	bool is_it = false;

	if (c == '\n' || c == '#' || isspace((unsigned char)c)) {
		is_it = !s->is_comment && end_word(s);
		if (c == '\n' || c == '#')
			s->is_comment = c == '#';
		return is_it;
	}
	if (s->is_comment)
		return false;
	if (!s->in_word) {
		s->in_word = true;
		s->is_equal = true;
		s->at = 0;
	}
	s->is_equal = s->is_equal && s->at < s->name_len &&
		      tolower((unsigned char)c) ==
			      tolower((unsigned char)s->name[s->at]);
	s->at++;
	return false;
}

static bool scan_file(int fd, const char *name)
{
	struct scan s = {.name = name, .name_len = strlen(name)};
	char piece[PIECE_BYTES];
	size_t total = 0;
	ssize_t len;

	while (total < FILE_MAX_BYTES) {
		len = read(fd, piece, sizeof(piece));
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return scan_byte(&s, '\n');
		for (ssize_t i = 0; i < len; i++)
			if (scan_byte(&s, piece[i]))
				return true;
		total += (size_t)len;
	}
	return false;
}

bool shim_hosts_file_has(const char *name)
{
	int cancels = shim_cancel_put_off();
	int fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
	bool has = fd >= 0 && scan_file(fd, name);

	if (fd >= 0)
		shim_close(fd);
	shim_cancel_set(cancels);
	return has;
}
