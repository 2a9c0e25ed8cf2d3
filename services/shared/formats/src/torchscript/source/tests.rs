//! What the source of a program is found to name, whatever the spelling and the cut.

use super::*;

fn ids(source: &str) -> Vec<String> {
    let judge = |cut: usize| {
        let mut code = Code::default();
        let mut read = Source::new("code/x.py");
        for piece in source.as_bytes().chunks(cut) {
            read.feed(piece, &mut code);
        }
        read.finish(&mut code);
        code.conclude()
    };
    assert_eq!(judge(1), judge(usize::MAX));
    let (findings, _) = judge(usize::MAX).into_parts();
    findings.into_iter().map(|finding| finding.id).collect()
}

#[test]
fn ordinary_programs_have_nothing_to_report() {
    for source in [
        "x = torch.add(torch.mul(a, 2.5e-3), 1.)\n",
        "_0 = (self).forward(x, )\ndef forward(self, x: Tensor) -> Tensor:\n  return x\n",
        "_1 = getattr(self, \"0\")\n_2 = ops.prim.RaiseException(\"torch.save ' # \\\" failed\")\n",
        "w : __torch__.torch.classes.quantized.LinearPackedParamsBase\n",
        "for i in range(ops.prim.min([9223372036854775807, torch.len(x)])):\n  pass\n",
        "y = x[..., 0]\nz = CONSTANTS.c0\n# torch.save\ns = '''a\nb'''\nt = \"\"\n",
        "a = -1.\nb = 3j\nc = annotate(List[int], [])\nd = (x).softmax(0)\n",
    ] {
        assert_eq!(ids(source), [""; 0], "{source}");
    }
}

#[test]
fn operators_that_reach_out_are_found_however_they_are_written() {
    for source in [
        "torch.save(x, \"/tmp/x\")",
        "torch . save(x, \"/tmp/x\")",
        "torch.autograd.save(x, \"/tmp/x\")",
        "ops.aten.save(x, \"/tmp/x\")",
        "(x).save(\"/tmp/x\")",
        "x.y.z.save(\"/tmp/x\")",
        "a.b.c.d.e.f.g.h.i.j.save(\"/tmp/x\")",
        "1 .save(\"/tmp/x\")",
        "1..save(\"/tmp/x\")",
        "\"\".save(\"/tmp/x\")",
        "f = torch.from_file\nf(\"/etc/passwd\")",
        "f = x.save\n",
        "getattr(x, \"save\")(\"/tmp/x\")",
        "x.#\nsave(\"/tmp/x\")",
        "ops.prim.rpc_async(\"w\", \"f\")",
        "ops.c10d.send(x)",
        "ops.image.write_file(\"/tmp/x\", x)",
        "s = \"a\\\\\"; torch.save(x, \"/tmp/x\")",
        "s = ''; torch.save(x, '')",
    ] {
        assert!(
            ids(source).contains(&"HF-TS-001".to_owned()),
            "{source}: {:?}",
            ids(source)
        );
    }
}

#[test]
fn what_pytorch_does_not_have_is_refused() {
    for source in [
        "torch.evil(x)",
        "ops.mine.relu(x)",
        "(x).evil()",
        "w : __torch__.torch.classes.mine.Thing",
        "torch.jit.load(\"x\")",
        "torch.ops.mine.f(x)",
    ] {
        assert_eq!(ids(source), ["HF-TS-002"], "{source}");
    }
    assert_eq!(ids("(x).evil()\ndef evil(self):\n  pass\n"), [""; 0]);
}

#[test]
fn what_cannot_be_followed_is_refused() {
    for source in [
        "t = torch\nt.add(x)",
        "o = ops.aten\n",
        "getattr(torch, \"add\")",
        "getattr(x, \"sa\" \"ve\")",
        "getattr(x, \"sa\\x76e\")",
        "getattr(x, n)",
        "g = getattr\n",
        "s = \"a\nb\"",
        "s = \"\"\"a",
        "x = 1save",
        "x = \u{e9}",
        "x = a.\n",
    ] {
        assert!(
            ids(source).contains(&"HF-TS-003".to_owned()),
            "{source}: {:?}",
            ids(source)
        );
    }
}
