import { play } from '/work/w-faults/tools/faults/core/simulation.js';
import { mutants } from '/work/w-faults/tools/faults/core/mutants.js';
const t=performance.now(); const done:any={}; let failed=0;
const N=Number(process.argv[2]??500);
for (let s=0;s<N;s++){ const p=await play(s).catch(e=>({wrong:[String(e.stack)],done:{}} as any)); if(p.wrong.length){failed++; if(failed<6)console.log(s,p.wrong.slice(0,4));} for(const [k,v] of Object.entries(p.done))done[k]=(done[k]??0)+(v as number);}
console.log(N,'in',performance.now()-t,'failed',failed,done);
if (process.argv[3]) for (const [n,m] of Object.entries(mutants)) { let f:any=null,s=0; for(;s<300&&!f;s++){ const w=await play(s,m).then(p=>p.wrong,e=>[String(e)]); if(w.length) f=w;} console.log(n,s,f?.slice(0,2)); }
