// Checks a log's static files with Go's x/mod/sumdb, which nobody here wrote: the checkpoint's
// signature, every entry's inclusion, and the consistency of every earlier checkpoint given.
//
//	tlog.go FOLDER VKEY [EARLIER-CHECKPOINT...]
//	tlog.go --proof VKEY PROOF ENTRY-HEX        one .tlog-proof and the entry that it proves
//
// Debian's golang-golang-x-mod-dev: GO111MODULE=off GOPATH=/usr/share/gocode go run tlog.go ...
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func fail(format string, words ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", words...)
	os.Exit(1)
}

// A checkpoint is a note whose text is origin, size, root: Go's own go.sum database has another
// first line, so the text is read here and the signature checked by the library.
func open(path, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		fail("the verifier key: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		fail("%v", err)
	}
	return openNote(text, verifier)
}

func openNote(text []byte, verifier note.Verifier) tlog.Tree {
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		fail("the checkpoint's signature: %v", err)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		fail("the checkpoint's text is not origin, size, root: %q", signed.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		fail("the checkpoint's size: %v", err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		fail("the checkpoint's root: %v", err)
	}
	return tlog.Tree{N: size, Hash: root}
}

// Tiles as files. C2SP's tlog-tiles leaves the height out of Go's path.
type files struct{ folder string }

func (files) Height() int                           { return height }
func (files) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(f.folder, path))
		if err != nil && tile.W < 1<<height {
			// A partial tile may have given way to the whole one.
			whole := tile
			whole.W = 1 << height
			path = strings.Replace(whole.Path(), "tile/8/", "tile/", 1)
			bytes, err = os.ReadFile(filepath.Join(f.folder, path))
			if err == nil {
				bytes = bytes[:tile.W*tlog.HashSize]
			}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for first := int64(0); first < size; first += 1 << height {
		width := size - first
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		bundle, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			fail("%v", err)
		}
		for len(bundle) > 0 {
			length := int(binary.BigEndian.Uint16(bundle))
			all = append(all, bundle[2:2+length])
			bundle = bundle[2+length:]
		}
	}
	if int64(len(all)) != size {
		fail("%d entries in the bundles, %d in the checkpoint", len(all), size)
	}
	return all
}

func checkLog(folder, vkey string, earlier []string) {
	tree := open(filepath.Join(folder, "checkpoint"), vkey)
	reader := tlog.TileHashReader(tree, files{folder})
	for index, entry := range entries(folder, tree.N) {
		proof, err := tlog.ProveRecord(tree.N, int64(index), reader)
		if err != nil {
			fail("proving entry %d: %v", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), tlog.RecordHash(entry)); err != nil {
			fail("entry %d: %v", index, err)
		}
		changed := append([]byte{1}, entry...)
		if tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), tlog.RecordHash(changed)) == nil {
			fail("entry %d: another entry passes as well", index)
		}
	}
	for _, path := range earlier {
		old := open(path, vkey)
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		if err != nil {
			fail("proving that %d continues %d: %v", tree.N, old.N, err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			fail("%s: %v", path, err)
		}
	}
	fmt.Printf("entries=%d checkpoints=%d\n", tree.N, len(earlier)+1)
}

func checkProof(vkey, path, entryHex string) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		fail("the verifier key: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		fail("%v", err)
	}
	head, signed, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("no tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		fail("the index: %v", err)
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(hash) != tlog.HashSize {
			fail("a hash of the path: %q", line)
		}
		proof = append(proof, *(*tlog.Hash)(hash))
	}
	entry, err := hex.DecodeString(entryHex)
	if err != nil {
		fail("the entry: %v", err)
	}
	tree := openNote(signed, verifier)
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		fail("%s: %v", path, err)
	}
	fmt.Printf("index=%d size=%d\n", index, tree.N)
}

func main() {
	words := os.Args[1:]
	switch {
	case len(words) == 4 && words[0] == "--proof":
		checkProof(words[1], words[2], words[3])
	case len(words) >= 2 && words[0] != "--proof":
		checkLog(words[0], words[1], words[2:])
	default:
		fail("tlog.go FOLDER VKEY [EARLIER...] | --proof VKEY PROOF ENTRY-HEX")
	}
}
