// SPDX-License-Identifier: GPL-2.0
/*
 * In L2: boots VMLINUX with INITRD, and with the memory map and the command line of the running kernel, by kexec.
 * kexec-tools, and the system call that takes whole files, compute checksums of all of it, and take a kernel that is
 * compressed: minutes of emulation.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE		4096UL
#define PARAMS		0x80000UL	/* struct start, free on every PC */
#define INITRD		0x8000000UL	/* far above the kernel */

struct start {
	struct boot_params params;
	char cmdline[2048];
	uint8_t code[64];
};

/* movabs $PARAMS, %rsi; movabs $entry, %rax; jmp *%rax */
static const uint8_t code[] = {
	0x48, 0xbe, 0, 0, 0, 0, 0, 0, 0, 0,
	0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,
	0xff, 0xe0,
};

static struct kexec_segment segments[KEXEC_SEGMENT_MAX];
static unsigned int nr_segments;

static void add_segment(const void *data, size_t size, uint64_t address)
{
	struct kexec_segment *segment = &segments[nr_segments++];

	if (nr_segments > KEXEC_SEGMENT_MAX)
		errx(1, "too many segments");

	segment->buf = data;
	segment->bufsz = size;
	segment->mem = (void *)address;
	segment->memsz = (size + PAGE - 1) & ~(PAGE - 1);
}

static const void *map_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY);
	struct stat stat;
	void *data;

	if (fd < 0 || fstat(fd, &stat))
		err(1, "%s", path);

	data = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		err(1, "%s", path);

	*size = stat.st_size;
	return data;
}

static size_t read_file(const char *path, void *data, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, data, size);

	if (got <= 0)
		err(1, "%s", path);
	return got;
}

/* Returns the address of its first instruction. */
static uint64_t add_kernel(const char *path)
{
	size_t size;
	const uint8_t *file = map_file(path, &size);
	const Elf64_Ehdr *header = (const void *)file;
	const Elf64_Phdr *program = (const void *)(file + header->e_phoff);
	unsigned int i;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG))
		errx(1, "%s is not an ELF file", path);

	for (i = 0; i < header->e_phnum; i++) {
		if (program[i].p_type == PT_LOAD)
			add_segment(file + program[i].p_offset,
				    program[i].p_memsz, program[i].p_paddr);
	}
	return header->e_entry;
}

int main(int argc, char **argv)
{
	static struct start start;
	const void *initrd;
	uint64_t address;
	size_t size;

	if (argc != 3)
		errx(1, "usage: %s VMLINUX INITRD", argv[0]);

	memcpy(start.code, code, sizeof(code));
	address = PARAMS;
	memcpy(start.code + 2, &address, sizeof(address));
	address = add_kernel(argv[1]);
	memcpy(start.code + 12, &address, sizeof(address));

	initrd = map_file(argv[2], &size);
	add_segment(initrd, size, INITRD);

	read_file("/sys/kernel/boot_params/data", &start.params, sizeof(start.params));
	start.params.hdr.ramdisk_image = INITRD;
	start.params.hdr.ramdisk_size = size;
	start.params.hdr.setup_data = 0;
	start.params.hdr.cmd_line_ptr = PARAMS + offsetof(struct start, cmdline);
	size = read_file("/proc/cmdline", start.cmdline, sizeof(start.cmdline));
	start.cmdline[size - 1] = '\0';		/* instead of the newline */
	add_segment(&start, sizeof(start), PARAMS);

	if (syscall(SYS_kexec_load, PARAMS + offsetof(struct start, code),
		    nr_segments, segments, KEXEC_ARCH_X86_64))
		err(1, "kexec_load");
	reboot(RB_KEXEC);
	err(1, "reboot");
}
