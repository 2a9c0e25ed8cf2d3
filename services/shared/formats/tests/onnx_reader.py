"""Reads ONNX models, one in hexadecimal a line, with the onnx package, and prints what it makes of each.

A line is `-` where the package gives up, otherwise three numbers: tensors, elements in them, and operators that are neither part of the
standard nor functions of the model.
"""

import resource
import sys

import onnx
from onnx import defs, numpy_helper

resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


def graphs(graph):
    yield graph.node, list(graph.initializer), list(graph.sparse_initializer)
    yield from within(graph.node)


def within(nodes):
    for node in nodes:
        for attribute in node.attribute:
            inner = list(attribute.graphs)
            if attribute.HasField("g"):
                inner.append(attribute.g)
            tensors = list(attribute.tensors)
            if attribute.HasField("t"):
                tensors.append(attribute.t)
            sparse = list(attribute.sparse_tensors)
            if attribute.HasField("sparse_tensor"):
                sparse.append(attribute.sparse_tensor)
            yield [], tensors, sparse
            for graph in inner:
                yield from graphs(graph)


def everything(model):
    yield from graphs(model.graph)
    for training in model.training_info:
        yield from graphs(training.initialization)
        yield from graphs(training.algorithm)
    for function in model.functions:
        yield function.node, [], []
        yield from within(function.node)
        for attribute in function.attribute_proto:
            holder = onnx.NodeProto()
            holder.attribute.append(attribute)
            yield from within([holder])


def read(data):
    model = onnx.load_model_from_string(data)
    tensors, operators = [], set()
    for nodes, initializers, sparse in everything(model):
        tensors += initializers
        for one in sparse:
            for field in ("values", "indices"):
                if one.HasField(field):
                    tensors.append(getattr(one, field))
        operators |= {(node.domain, node.op_type) for node in nodes}
    elements = sum(numpy_helper.to_array(tensor).size for tensor in tensors)
    functions = {(function.domain, function.name) for function in model.functions}
    known = {(schema.domain, schema.name) for schema in defs.get_all_schemas_with_history()}
    unknown = {("" if domain == "ai.onnx" else domain, name) for domain, name in operators}
    return f"{len(tensors)} {elements} {len(unknown - known - functions)}"


for line in sys.stdin:
    try:
        print(read(bytes.fromhex(line)))
    except Exception:
        print("-")
